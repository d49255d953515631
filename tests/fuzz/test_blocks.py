"""blocks.yaml: the API server accepts the valid blocks and rejects the invalid ones."""

import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from schema import kubernetes
from schema.source import keys, read
from tests.chart import kubeconform
from tests.chart.render import tool
from tests.fuzz.api_server import Client
from tests.fuzz.generator import BLOCKS, spoil

pytestmark = pytest.mark.fuzz
# The API server accepts these: names and paths that the pods of the chart use already, and names it does not check.
OF_THE_CHART = (
    {"name": "config", "emptyDir": {}},
    {"name": "kuscia-config", "emptyDir": {}},
    {"name": "kuscia", "image": "a"},
    {"name": "prepare", "image": "a"},
    {"name": "extra", "mountPath": "/home/kuscia/var/tmp"},
    {"name": "extra", "mountPath": "/tmp"},
    "",
    "A B",
    {"name": ""},
    {"name": "A"},
)


def _pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "a", **(container or {})}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers, **spec}}


def _policy(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "a"},
        "spec": {"podSelector": {}, **spec},
    }


def _ingress(tls: Any) -> dict[str, Any]:
    backend = {"service": {"name": "a", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "a"},
        "spec": {"defaultBackend": backend, "tls": [tls]},
    }


def _monitor(relabeling: Any) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "a"},
        "spec": {"selector": {}, "podMetricsEndpoints": [{"port": "a", "relabelings": [relabeling]}]},
    }


def _objects(kind: str, block: Any) -> dict[str, Any]:
    return {
        "Affinity": lambda: _pod(affinity=block),
        "Container": lambda: {**_pod(), "spec": {"containers": [block, {"name": "main", "image": "a"}]}},
        "EnvFromSource": lambda: _pod({"envFrom": [block]}),
        "EnvVar": lambda: _pod({"env": [block]}),
        "HostAlias": lambda: _pod(hostAliases=[block]),
        "IngressTLS": lambda: _ingress(block),
        "LocalObjectReference": lambda: _pod(imagePullSecrets=[{"name": block} if isinstance(block, str) else block]),
        "NetworkPolicyEgressRule": lambda: _policy(egress=[block]),
        "NetworkPolicyIngressRule": lambda: _policy(ingress=[block]),
        "NetworkPolicyPeer": lambda: _policy(ingress=[{"from": [block]}]),
        "NodeSelector": lambda: _pod(nodeSelector=block),
        "Object": lambda: block,
        "PodDNSConfig": lambda: _pod(dnsConfig=block),
        "PodSecurityContext": lambda: _pod(securityContext=block),
        "Probe": lambda: _pod({"livenessProbe": block if _handler(block) else {"exec": {"command": ["a"]}, **block}}),
        "RelabelConfig": lambda: _monitor(block),
        "ResourceRequirements": lambda: _pod({"resources": block}),
        "SecurityContext": lambda: _pod({"securityContext": block}),
        "Toleration": lambda: _pod(tolerations=[block]),
        "TopologySpreadConstraint": lambda: _pod(topologySpreadConstraints=[block]),
        "Volume": lambda: _pod(volumes=[block]),
        "VolumeMount": lambda: _pod({"volumeMounts": [block]}, volumes=[{"name": "extra", "emptyDir": {}}]),
    }[kind]()


def _handler(block: Any) -> bool:
    """Whether a probe says what it does, or is not a probe."""
    return not isinstance(block, dict) or bool(set(block) & {"httpGet", "tcpSocket", "exec", "grpc"})


def _cases(quality: str) -> list[Any]:
    return [
        pytest.param(kind, block, id=f"{kind}-{index}")
        for kind in BLOCKS
        for index, block in enumerate(BLOCKS[kind][quality])
        if block not in OF_THE_CHART
    ]


def _spoiled() -> list[tuple[str, Any]]:
    """Return blocks with one part changed at random, of each type that the schema defines."""
    found = []
    for kind in sorted({key.node["x-kubernetes"] for key in keys(read()) if "x-kubernetes" in key.node}):
        rng = random.Random(kind)
        found += [(kind, block) for quality in ("valid", "invalid") for block in BLOCKS[kind][quality]]
        found += [(kind, spoil(rng, rng.choice(BLOCKS[kind]["valid"]))) for _ in range(40)]
    return [(kind, block) for kind, block in found if isinstance(block, dict)]


def _valid_by_schema(folder: Path, blocks: list[tuple[str, Any]]) -> list[bool]:
    kinds = {kind for kind, _ in blocks}
    definitions = kubernetes.definitions(kinds)
    schemas = {
        kind: {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"spec": kubernetes.pointer(kind)},
            "definitions": definitions,
        }
        for kind in kinds
    }
    location = kubeconform.write(folder, schemas)
    documents = [
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": str(number)}, "spec": block}
        for number, (kind, block) in enumerate(blocks)
    ]
    done = subprocess.run(
        [tool("kubeconform"), "-output=json", "-verbose", "-schema-location", location],
        input="\n---\n".join(map(json.dumps, documents)),
        text=True,
        capture_output=True,
        check=False,
    )
    status = {int(item["name"]): item["status"] for item in json.loads(done.stdout)["resources"]}
    assert set(status.values()) == {"statusValid", "statusInvalid"}, done.stdout[-2000:] + done.stderr
    return [status[number] == "statusValid" for number in range(len(blocks))]


# What depends on other parts of an object, or compares values, which a schema cannot.
BEYOND_A_SCHEMA = re.compile(
    r"Not found|must be less than or equal to|must be an integer|must be a strict subset|"
    r"greater than or equal to `port`|Duplicate value|beyond the prefix length|less than terminationGracePeriodSeconds|"
    r"multiple of hugepages|HugePages require|to privileged containers|must be 1|must not be set for readinessProbes"
)


def test_schema_rejects_what_the_api_server_rejects(client: Client, tmp_path: Path) -> None:
    """Of what the API server accepts, the schema rejects nothing but nonsense."""
    blocks = _spoiled()
    missed, strict = [], 0
    for (kind, block), valid in zip(blocks, _valid_by_schema(tmp_path, blocks), strict=True):
        refusal = _refusal(client, kind, block)
        if valid and refusal and not BEYOND_A_SCHEMA.search(refusal) and block not in OF_THE_CHART:
            missed.append((kind, block, refusal))
        strict += not valid and not refusal
    assert missed == []
    assert strict < len(blocks) / 50


def _refusal(client: Client, kind: str, block: Any) -> str:
    item = _objects(kind, block)
    if not isinstance(item, dict):
        return "not an object"
    return client.refusal(str(item.get("apiVersion")), str(item.get("kind")), "ns", json.dumps(item))


@pytest.mark.parametrize(("kind", "block"), _cases("valid"))
def test_accepts_valid_blocks(client: Client, kind: str, block: Any) -> None:
    assert _refusal(client, kind, block) == ""


@pytest.mark.parametrize(("kind", "block"), _cases("invalid"))
def test_rejects_invalid_blocks(client: Client, kind: str, block: Any) -> None:
    assert _refusal(client, kind, block) != ""
