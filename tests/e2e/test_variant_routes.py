"""Options of routes: transit, body encryption, rotated tokens; routes that change and go.

Three lites under NOTLS, so that a relay before bob's gateway can read what the network carries. The traffic is that
of a job whose engines in alice and bob send each other a body.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

HERE = Path(__file__).parent
LITES = ("alice", "bob", "carol")
MARKER = "rows-that-nobody-else-may-read"
DIRECT = [{"source": a, "destination": b} for a in LITES for b in LITES if a != b]


def echo(ref: str) -> dict[str, Any]:
    """The AppImage of echo_engine.py."""
    name, _, tag = ref.rpartition(":")
    container = {
        "name": "echo",
        "command": ["python3", "-c"],
        "args": [(HERE / "echo_engine.py").read_text(), MARKER],
        "working_dir": "/work",
        "config_volume_mounts": [{"mount_path": "/work/kuscia/task-config.conf", "sub_path": "task-config.conf"}],
        "ports": [{"name": "echo", "protocol": "HTTP", "scope": "Cluster"}],
    }
    return {
        "image": {"name": name, "tag": tag},
        "configTemplates": {"task-config.conf": '{"task_cluster_def": "{{.TASK_CLUSTER_DEFINE}}"}'},
        "deployTemplates": [{"name": "echo", "replicas": 1, "restart_policy": "Never", "containers": [container]}],
    }


def start_relay(made: Variant, image: str) -> str:
    """A pod before bob's gateway; its host name."""
    namespace = made.namespace("bob")
    made.kubectl.ensure_namespace(namespace)
    metadata = {"name": "relay", "namespace": namespace, "labels": {"app": "relay"}}
    gateway = f"kuscia-lite-bob.{namespace}.svc.cluster.local"
    command = ["python3", "-c", (HERE / "relay.py").read_text(), gateway, "1080", MARKER]
    container = {"name": "relay", "image": image, "command": command, "imagePullPolicy": "IfNotPresent"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    spec = {"selector": {"app": "relay"}, "ports": [{"port": 1080}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    made.kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": [pod, service]}))
    return f"relay.{namespace}.svc.cluster.local"


def seen(made: Variant) -> dict[str, list[str]]:
    """What passed the relay since this was last asked."""
    command = ("python3", "-c", (HERE / "relay.py").read_text())
    found: dict[str, list[str]] = json.loads(
        made.kubectl.run("exec", "-n", made.namespace("bob"), "relay", "--", *command)
    )
    return found


@pytest.fixture(scope="module")
def installed(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    values = {
        "master": {
            "domains": {"carol": {"endpoint": "http://kuscia-lite-carol.v-routes-carol.svc.cluster.local:1080"}},
            "appImages": {"echo": echo(image_refs["kuscia-hooks"])},
        }
    }
    options: dict[str, Any] = {"parties": ("master", *LITES), "presets": ("route-options", "notls"), "values": values}
    with variant(demo, images, "routes", **options) as made:
        host = start_relay(made, image_refs["kuscia-hooks"])
        values["master"]["domains"]["bob"] = {"endpoint": f"http://{host}:1080"}
        made.install_all()
        yield made


def set_routes(made: Variant, routes: list[dict[str, Any]]) -> str:
    """`helm upgrade` of the master with these routes; the log of the step, once all are READY."""
    made.install("master", values={"master": {"routes": routes}})
    log = made.kubectl.run(
        "logs", "-n", made.namespace("master"), "-l", "app.kubernetes.io/component=routes", "--tail=-1"
    )
    with api(made) as found:
        keys = [{"source": route["source"], "destination": route["destination"]} for route in routes]
        body = {"route_keys": keys}

        def ready() -> bool:
            answer = found.call("route/status/batchQuery", body)["routes"]
            return all(route["status"]["status"] == "Succeeded" for route in answer)

        eventually(ready, 180, "routes READY")
    return log


def api(made: Variant) -> Any:
    return kusciaapi(made.kubectl, made.release("master"), "NOTLS")


def run_job(made: Variant) -> None:
    """alice's engine sends the marker to bob's, and gets it back."""
    task = {
        "app_image": "echo",
        "alias": "echo",
        "parties": [{"domain_id": "alice"}, {"domain_id": "bob"}],
        "task_input_config": "{}",
    }
    job = f"echo-{time.time_ns() // 1_000_000}"
    with api(made) as found:
        found.call("job/create", {"job_id": job, "initiator": "alice", "max_parallelism": 1, "tasks": [task]})
        eventually(lambda: status(found, job)["state"] not in ("Pending", "Running", "Unknown"), 180, f"job {job}")
        assert status(found, job)["state"] == "Succeeded", status(found, job)


def status(found: KusciaAPI, job: str) -> dict[str, Any]:
    state: dict[str, Any] = found.call("job/query", {"job_id": job})["status"]
    return state


def test_without_options_the_network_can_read(installed: Variant) -> None:
    """What the other tests compare with."""
    set_routes(installed, DIRECT)
    seen(installed)
    run_job(installed)
    passed = seen(installed)
    assert passed["body"] == ["marker"]
    assert "alice" in passed["kuscia-source"]


def test_transit_with_encrypted_bodies(installed: Variant) -> None:
    """values/route-options.yaml: bob's gateway hears carol only, and carol could read nothing."""
    set_routes(installed, DIRECT)
    installed.install("master")
    route = installed.route("alice", "bob", "NOTLS")
    assert route["transit"] == {"transit_method": "THIRD-DOMAIN", "domain": {"domain_id": "carol"}}
    assert route["body_encryption"] == {"algorithm": "AES"}
    assert route["token_config"]["rolling_update_period"] == "3600"
    eventually(lambda: installed.route("alice", "bob", "NOTLS")["status"]["status"] == "Succeeded", 180, "alice-bob")

    seen(installed)
    run_job(installed)
    passed = seen(installed)
    assert "body" not in passed
    asked = [host for host in passed["kuscia-host"] if "-echo." in host]
    assert len(asked) == 1, "the engine's service was called over the relay"
    assert "alice" not in passed["kuscia-source"]
    assert "alice" in passed["kuscia-origin-source"]
    installed.test("master")


@pytest.mark.parametrize("algorithm", ["AES", "SM4"])
def test_encrypted_bodies_on_the_direct_way(installed: Variant, algorithm: str) -> None:
    """The changed route is made anew, and no other."""
    set_routes(installed, DIRECT)
    log = set_routes(installed, [{**DIRECT[0], "bodyEncryption": algorithm}, *DIRECT[1:]])
    assert "recreate DomainRoute alice-bob (changed)" in log
    assert log.count(" DomainRoute ") == 1, log
    seen(installed)
    run_job(installed)
    passed = seen(installed)
    assert "body" not in passed
    assert "alice" in passed["kuscia-source"]


def test_tokens_are_replaced(installed: Variant) -> None:
    """Every 20 s another token travels; jobs go on. Kuscia advises 300 s or more, and NOTES say so."""
    set_routes(installed, [{**DIRECT[0], "tokenConfig": {"rollingUpdatePeriod": 20}}, *DIRECT[1:]])
    notes = installed.kubectl.helm("get", "notes", "kuscia", "-n", installed.namespace("master"))
    assert "alice to bob takes a new token every 20 s; Kuscia advises 300 or more" in notes
    travelled: list[str] = []

    def third_token() -> bool:
        run_job(installed)
        travelled.extend(token for token in seen(installed)["kuscia-token"] if token not in travelled)
        return len(travelled) >= 3

    seen(installed)
    eventually(third_token, 300, "three tokens, one after the other")


def test_a_route_that_is_not_wanted_any_more_is_deleted(installed: Variant) -> None:
    """Those to and from carol go; what others made by hand stays."""
    set_routes(installed, DIRECT)
    with api(installed) as found:
        found.call("domain/create", {"domain_id": "by-hand"})
        endpoint = {"host": "by-hand.example.com", "ports": [{"port": 1080, "protocol": "HTTP", "name": "http"}]}
        body = {"source": "by-hand", "destination": "alice", "authentication_type": "Token", "endpoint": endpoint}
        found.call("route/create", body)

        kept = [route for route in DIRECT if "carol" not in route.values()]
        log = set_routes(installed, kept)

        assert log.count("delete DomainRoute") == 4
        assert "delete DomainRoute alice-carol (no longer wanted)" in log
        with pytest.raises(Missing):
            found.call("route/query", {"source": "alice", "destination": "carol"})
        assert found.call("route/query", {"source": "by-hand", "destination": "alice"})["name"] == "by-hand-alice"
        run_job(installed)
