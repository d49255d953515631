"""Options of routes: transit, body encryption, token rotation; changed and removed routes.

Three lites under NOTLS, so that a relay in front of bob's gateway can read the traffic. The traffic comes from a job
whose engines at alice and bob send each other a body.
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
from tests.e2e import messages
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

HERE = Path(__file__).parent
LITES = ("alice", "bob", "carol")
MARKER = "rows-that-nobody-else-may-read"
DIRECT = [{"source": a, "destination": b} for a in LITES for b in LITES if a != b]


def echo(ref: str) -> dict[str, Any]:
    """Return the AppImage of echo_engine.py."""
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
    """Start a relay in front of bob's gateway; return its host name."""
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
    """Return what passed the relay since the last call."""
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


def set_routes(made: Variant, routes: list[dict[str, Any]], prune: bool = False) -> str:
    """Upgrade the master with these routes and wait until they are READY; return the log of the step."""
    made.install("master", values={"master": {"routes": routes, "prune": {"routes": prune}}})
    log = made.kubectl.run(
        "logs", "-n", made.namespace("master"), "-l", "app.kubernetes.io/component=routes", "--tail=-1"
    )
    with api(made) as found:
        keys = [{"source": route["source"], "destination": route["destination"]} for route in routes]
        body = {"route_keys": keys}

        def ready() -> bool:
            answer = found.call("route/status/batchQuery", body)["routes"]
            return all(route["status"]["status"] == "Succeeded" for route in answer)

        eventually(ready, RECONNECT_SECONDS, "routes READY")
    return log


def api(made: Variant) -> Any:
    return kusciaapi(made.kubectl, made.release("master"), "NOTLS")


def run_job(made: Variant) -> None:
    """Run a job: the engine of alice sends the marker to that of bob, which returns it."""
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


def test_network_can_read_bodies_without_encryption(installed: Variant) -> None:
    """The other tests compare with this."""
    set_routes(installed, DIRECT)
    seen(installed)
    run_job(installed)
    passed = seen(installed)
    assert passed["body"] == ["marker"]
    assert "alice" in passed["kuscia-source"]


def test_transit_hides_source_and_body(installed: Variant) -> None:
    """values/route-options.yaml: requests reach bob's gateway from carol only, with encrypted bodies."""
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
def test_encrypts_bodies_of_a_direct_route(installed: Variant, algorithm: str) -> None:
    """Only the changed route is recreated."""
    set_routes(installed, DIRECT)
    log = set_routes(installed, [{**DIRECT[0], "bodyEncryption": algorithm}, *DIRECT[1:]])
    assert messages.actions(log) == [("recreate", "alice-bob")]
    seen(installed)
    run_job(installed)
    passed = seen(installed)
    assert "body" not in passed
    assert "alice" in passed["kuscia-source"]


def test_rotates_tokens(installed: Variant) -> None:
    """Every 20 s a new token is used while jobs run. NOTES warn, because Kuscia recommends 300 s or more."""
    set_routes(installed, [{**DIRECT[0], "tokenConfig": {"rollingUpdatePeriod": 20}}, *DIRECT[1:]])
    notes = installed.kubectl.helm("get", "notes", "kuscia", "-n", installed.namespace("master"))
    assert "short-token-period" in {warning for warning, _ in messages.chart_warnings(notes)}
    used: list[str] = []

    def third_token() -> bool:
        run_job(installed)
        used.extend(token for token in seen(installed)["kuscia-token"] if token not in used)
        return len(used) >= 3

    seen(installed)
    eventually(third_token, 300, "three different tokens")


def test_prunes_routes_that_left_the_values(installed: Variant) -> None:
    """Routes to and from carol are kept without `prune`; a route that was created by hand is always kept."""
    set_routes(installed, DIRECT)
    with api(installed) as found:
        found.call("domain/create", {"domain_id": "by-hand"})
        endpoint = {"host": "by-hand.example.com", "ports": [{"port": 1080, "protocol": "HTTP", "name": "http"}]}
        body = {"source": "by-hand", "destination": "alice", "authentication_type": "Token", "endpoint": endpoint}
        found.call("route/create", body)

        kept = [route for route in DIRECT if "carol" not in route.values()]
        assert messages.actions(set_routes(installed, kept)) == []
        log = set_routes(installed, kept, prune=True)

        deleted = {f"{one}-{other}" for one in LITES for other in LITES if one != other and "carol" in (one, other)}
        assert sorted(messages.actions(log)) == sorted(("delete", name) for name in deleted)
        with pytest.raises(Missing):
            found.call("route/query", {"source": "alice", "destination": "carol"})
        assert found.call("route/query", {"source": "by-hand", "destination": "alice"})["name"] == "by-hand-alice"
        run_job(installed)


def test_reconcile_restores_a_deleted_route(installed: Variant) -> None:
    """Without a Helm upgrade, from the suspended CronJob, as in docs/operations.md."""
    set_routes(installed, DIRECT)
    with api(installed) as found:
        found.call("route/delete", {"source": "alice", "destination": "carol"})
    namespace, name = installed.namespace("master"), installed.release("master").fullname
    installed.kubectl.run("create", "job", "reconcile", f"--from=cronjob/{name}-reconcile", "-n", namespace)
    installed.kubectl.run("wait", "--for=condition=complete", "job/reconcile", "-n", namespace, "--timeout=180s")
    assert installed.route("alice", "carol", "NOTLS")["name"] == "alice-carol"
    installed.kubectl.run("delete", "job", "reconcile", "-n", namespace)
