"""RunK: engine pods, permissions of the lite, ownership of the engine namespace, orphaned engine pods."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from kuscia_hooks.kuscia import domain_key
from testbed.cluster.kubectl import CommandError
from testbed.demo.demo import Demo
from testbed.demo.kusciaapi import kusciaapi
from testbed.demo.releases import ROOT, uninstall
from tests.e2e import messages
from tests.e2e.engines import DOMAIN, SAYS, sleeper
from tests.e2e.messages import Message
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

RUNTIME_CLASS = "v-runk-plain"
POOL = "v-runk-pool"
VERBS = ["get", "list", "watch", "create", "delete"]
PRESET = yaml.safe_load((ROOT / "values/alice-engine-pods.yaml").read_text())["lite"]["runk"]


def engine_pods() -> dict[str, Any]:
    """Return values of values/alice-engine-pods.yaml for a node label and a RuntimeClass that exist."""
    match = {"key": POOL, "operator": "In", "values": ["engines"]}
    affinity = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}
    }
    return {"lite": {"runk": {"affinity": {"nodeAffinity": affinity}, "runtimeClassName": RUNTIME_CLASS}}}


@pytest.fixture(scope="module")
def node(demo: Demo) -> Iterator[None]:
    """A node for engines and a RuntimeClass, which the preset requires."""
    kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": RUNTIME_CLASS}}
    demo.kubectl.apply(json.dumps({**kind, "handler": "runc"}))
    demo.kubectl.run("label", "nodes", "--all", "--overwrite", f"{POOL}=engines")
    try:
        yield
    finally:
        demo.kubectl.run("label", "nodes", "--all", f"{POOL}-")
        demo.kubectl.run("delete", "runtimeclass", RUNTIME_CLASS)


@pytest.fixture(scope="module")
def runk(demo: Demo, images: Path, image_refs: dict[str, str], node: None) -> Iterator[Variant]:
    values = {"master": {"appImages": {"sleeper": sleeper(image_refs["psi-engine"])}}, **engine_pods()}
    presets = ("alice-engines-apart", "alice-engine-pods")
    with variant(demo, images, "engines", presets=presets, values=values) as made:
        demo.kubectl.ensure_namespace(made.namespace("engines"))
        made.install_all()
        yield made


def pods(made: Variant) -> dict[str, Any]:
    """Return the engine pods of alice by name."""
    found = made.kubectl.get("pods", "-n", made.namespace("engines"), "-l", DOMAIN)["items"]
    return {pod["metadata"]["name"]: pod for pod in found}


def runs(made: Variant, job: str) -> bool:
    pod = pods(made).get(f"{job}-task-0")
    return bool(pod and pod["status"]["phase"] == "Running")


def log_of(made: Variant, task: str) -> str:
    """Return the output of an engine from KusciaAPI of the lite (log/task/query returns a stream)."""
    with made.kubectl.port_forward(made.namespace("alice"), "service/kuscia-lite-alice", 8082) as port:
        answer = httpx.post(
            f"https://127.0.0.1:{port}/api/v1/log/task/query",
            headers={"Token": domain_key.api_token(made.key("alice"), "alice")},
            json={"task_id": task, "replica_idx": 0},
            verify=False,
        )
    return answer.text


def test_lite_has_exactly_the_permissions_of_runk(runk: Variant) -> None:
    """Including pods/log, because the preset enables engine logs."""
    rules = runk.rights("alice", runk.namespace("engines"))
    found = {resource: rule["verbs"] for rule in rules for resource in rule["resources"]}
    assert found == {"pods": VERBS, "configmaps": VERBS, "secrets": VERBS, "pods/log": ["get"]}
    (own,) = runk.rights("alice", runk.namespace("alice"))
    assert (own["resources"], own["verbs"], own["resourceNames"]) == (
        ["secrets"], ["get"], ["kuscia-lite-alice-domain-key"],
    )  # fmt: skip


def test_check_has_read_permissions_only(runk: Variant) -> None:
    """It reads the default ServiceAccount only if the values name pull secrets of engine pods."""
    rules = runk.rights("alice", runk.namespace("engines"), "-check")
    found = [(rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in rules]
    assert sorted(found, key=str) == [
        (["configmaps"], ["get"], ["kuscia-engines"]),
        (["pods"], ["list"], None),
    ]


def test_engine_pods_have_the_settings_of_the_values(runk: Variant) -> None:
    runk.run_engine("sleeper", "dressed")
    eventually(lambda: runs(runk, "dressed"), 180, "the engine pod runs")
    pod = pods(runk)["dressed-task-0"]
    assert pod["metadata"]["labels"].items() >= PRESET["podLabels"].items()
    assert pod["metadata"]["annotations"].items() >= PRESET["podAnnotations"].items()
    assert pod["spec"]["runtimeClassName"] == RUNTIME_CLASS
    assert pod["spec"]["affinity"] == engine_pods()["lite"]["runk"]["affinity"]
    service = runk.kubectl.get("service", "kuscia-lite-alice", "-n", runk.namespace("alice"))
    assert pod["spec"]["dnsConfig"]["nameservers"] == [service["spec"]["clusterIP"]]
    eventually(lambda: SAYS in log_of(runk, "dressed-task"), 60, "the engine's output in the lite")
    runk.stop_job("dressed")
    eventually(lambda: not pods(runk), 120, "no engine pod is left")
    assert SAYS in log_of(runk, "dressed-task"), "enableLogging keeps the output"


def test_keeps_no_engine_log_without_enable_logging(runk: Variant) -> None:
    """And the lite has no permission to read engine logs."""
    runk.install("alice", values={"lite": {"runk": {"enableLogging": False}}})
    found = {resource for rule in runk.rights("alice", runk.namespace("engines")) for resource in rule["resources"]}
    assert found == {"pods", "configmaps", "secrets"}
    runk.run_engine("sleeper", "silent")
    eventually(lambda: runs(runk, "silent"), 180, "the engine pod runs")
    assert SAYS in runk.kubectl.run("logs", "silent-task-0", "-n", runk.namespace("engines"))
    assert "can't find pod log directory" in log_of(runk, "silent-task")
    runk.end_job("silent")
    eventually(lambda: not pods(runk), 120, "no engine pod is left")
    runk.install("alice")


def test_rejects_a_second_lite_in_the_engine_namespace(runk: Variant) -> None:
    """Helm names the owner before it creates anything."""
    bob = Variant(runk.kubectl, runk.images, "engines", parties=("bob",))
    shared = {"lite": {"runk": {"namespace": runk.namespace("engines")}}}
    with pytest.raises(CommandError) as error:
        bob.install("bob", values=shared, wait=False)
    for word in ("kuscia-engines", runk.namespace("engines"), "cannot be", runk.namespace("alice")):
        assert word in str(error.value)
    uninstall(runk.kubectl, bob.release("bob"))


def test_requires_capacity(runk: Variant) -> None:
    """Helm lists each missing value and changes nothing."""
    before = runk.pod("alice")["metadata"]["name"]
    with pytest.raises(CommandError) as error:
        runk.install("alice", values={"lite": {"capacity": {"memory": None, "storage": None}}})
    assert messages.chart_errors(str(error.value)) == {
        ("runk-requires-capacity", "lite.capacity.memory"),
        ("runk-requires-capacity", "lite.capacity.storage"),
    }
    assert runk.pod("alice")["metadata"]["name"] == before


def test_prepare_waits_for_an_engine_namespace_of_another_lite(runk: Variant) -> None:
    """As after `kubectl apply` of two rendered releases."""
    engines, alice = runk.namespace("engines"), runk.namespace("alice")

    def owner(domain: str, lite: str) -> None:
        patch = json.dumps({"data": {"domain": domain, "lite": lite}})
        runk.kubectl.run("patch", "configmap", "kuscia-engines", "-n", engines, "-p", patch)

    owner("carol", "lite-carol/kuscia-lite-carol")
    runk.kubectl.run("delete", "pod", runk.pod("alice")["metadata"]["name"], "-n", alice, "--wait")
    facts = engines, "carol", "lite-carol/kuscia-lite-carol"
    messages.wait_for_message(runk, "alice", messages.ENGINE_NAMESPACE_TAKEN, *facts)
    owner("alice", f"{alice}/kuscia-lite-alice")
    runk.kubectl.run("rollout", "status", "deployment/kuscia-lite-alice", "-n", alice, "--timeout=180s", timeout=200)


def test_check_reports_a_recreated_service(runk: Variant) -> None:
    """Engines would resolve names at the old address, until the restart that check recommends."""
    alice = runk.namespace("alice")
    before = runk.kuscia_yaml("alice")["runk"]["dnsServers"]
    runk.kubectl.run("delete", "service", "kuscia-lite-alice", "-n", alice)
    runk.install("alice")
    with pytest.raises(CommandError) as error:
        runk.test("alice")
    fix = f"kubectl -n {alice} rollout restart deployment/kuscia-lite-alice"
    assert messages.failed(str(error.value), messages.ENGINE_NAMES, fix)
    assert messages.DNS_SERVICE_RECREATED.printed_in(str(error.value), "kuscia-lite-alice")
    runk.kubectl.run(*fix.split()[1:])
    runk.kubectl.run("rollout", "status", "deployment/kuscia-lite-alice", "-n", alice, "--timeout=180s", timeout=200)
    service = runk.kubectl.get("service", "kuscia-lite-alice", "-n", alice)
    after = runk.kuscia_yaml("alice")["runk"]["dnsServers"]
    assert after == [service["spec"]["clusterIP"]]
    assert after != before
    assert messages.passed(runk.test("alice"), messages.ENGINE_NAMES)


def test_reports_engine_pods_of_an_uninstalled_release(runk: Variant) -> None:
    """NOTES and `prepare` of the next lite contain the command that deletes them and their objects."""
    engines = runk.namespace("engines")
    runk.run_engine("sleeper", "left")
    eventually(lambda: runs(runk, "left"), 180, "the engine pod runs")
    release = runk.release("alice")
    runk.kubectl.helm("uninstall", release.name, "-n", release.namespace, "--wait")
    assert runs(runk, "left")
    notes = runk.install("alice")
    command = f"kubectl -n {engines} delete pods,configmaps,secrets -l {DOMAIN}=alice"
    assert command in notes
    log = runk.log("alice", "prepare")
    assert any("left-task-0" in line and command in line for line in log.splitlines()), log
    runk.end_job("left")
    runk.kubectl.run(*command.split()[1:])
    for kind in ("pods", "configmaps", "secrets"):
        assert runk.kubectl.get(kind, "-n", engines, "-l", DOMAIN)["items"] == []


def test_check_reports_orphaned_engine_pods(runk: Variant) -> None:
    """Engine pods of a domain that is not in this release."""
    engines = runk.namespace("engines")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "carols-task-0", "namespace": engines, "labels": {DOMAIN: "carol"}},
        "spec": {"nodeSelector": {"no": "such"}, "containers": [{"name": "engine", "image": "none"}]},
    }
    runk.kubectl.apply(json.dumps(pod))
    with pytest.raises(CommandError) as error:
        runk.test("alice")
    assert messages.failed(str(error.value), messages.ENGINE_NAMESPACE, engines)
    assert messages.ENGINE_PODS_ORPHANED.printed_in(str(error.value), "carols-task-0")
    runk.kubectl.run(*f"-n {engines} delete pods,configmaps,secrets -l {DOMAIN}=carol".split())
    assert messages.passed(runk.test("alice"), messages.ENGINE_NAMESPACE, engines)


KUBECONFIG_ROLE = [
    {"apiGroups": [""], "resources": ["pods", "configmaps", "secrets"], "verbs": VERBS},
]


def kubeconfig(made: Variant, account: str, rules: list[dict[str, Any]] = KUBECONFIG_ROLE) -> str:
    """Create a kubeconfig for a ServiceAccount of the engine namespace, as an administrator does."""
    engines = made.namespace("engines")
    rbac = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": account, "namespace": engines}}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": engines}
    for item in (
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": rbac["metadata"]},
        {**rbac, "kind": "Role", "rules": rules},
        {
            **rbac,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
            "subjects": [subject],
        },
    ):
        made.kubectl.apply(json.dumps(item))
    token = made.kubectl.run("create", "token", account, "-n", engines, "--duration=2h").strip()
    root = made.kubectl.get("configmap", "kube-root-ca.crt", "-n", engines)["data"]["ca.crt"]
    cluster = {
        "server": "https://kubernetes.default.svc.cluster.local",
        "certificate-authority-data": base64.b64encode(root.encode()).decode(),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": account, "user": {"token": token}}],
            "contexts": [{"name": "engines", "context": {"cluster": "here", "user": account}}],
            "current-context": "engines",
        }
    )


@pytest.fixture(scope="module")
def through_kubeconfig(demo: Demo, images: Path, image_refs: dict[str, str]) -> Iterator[Variant]:
    values = {"master": {"appImages": {"sleeper": sleeper(image_refs["psi-engine"])}}}
    with variant(demo, images, "kubeconfig", presets=("alice-kubeconfig",), values=values) as made:
        made.kubectl.ensure_namespace(made.namespace("engines"))
        made.install("master")
        made.install("alice", wait=False)
        yield made


def test_prepare_waits_for_a_valid_kubeconfig(through_kubeconfig: Variant) -> None:
    """It reports each mistake and continues automatically."""
    made, name = through_kubeconfig, "alice-engines-kubeconfig"
    alice = made.namespace("alice")

    def wait_for(message: Message, *facts: str) -> None:
        messages.wait_for_message(made, "alice", message, *facts)

    wait_for(messages.SECRET_NOT_FOUND, f"{alice}/{name}")
    made.secret(alice, name, {"config": "hello"})
    wait_for(messages.SECRET_KEY_MISSING, "kubeconfig")
    made.secret(alice, name, {"kubeconfig": "hello"})
    wait_for(messages.INVALID_KUBECONFIG, "clusters")
    right = kubeconfig(made, "engines-of-alice")
    wrong = yaml.safe_load(right)
    wrong["users"][0]["user"]["token"] = "nonsense"
    made.secret(alice, name, {"kubeconfig": yaml.safe_dump(wrong)})
    wait_for(messages.API_SERVER_UNAUTHORIZED, "401")
    poor = [{**KUBECONFIG_ROLE[0], "resources": ["pods", "configmaps"]}]
    made.secret(alice, name, {"kubeconfig": kubeconfig(made, "half-of-alice", poor)})
    wait_for(messages.RUNK_FORBIDDEN, f"{', '.join(VERBS)} secrets")
    engines = made.namespace("engines")
    made.kubectl.run("delete", "role/half-of-alice", "rolebinding/half-of-alice", "-n", engines)
    made.secret(alice, name, {"kubeconfig": right})
    made.kubectl.run("rollout", "status", "deployment/kuscia-lite-alice", "-n", alice, "--timeout=180s", timeout=200)
    assert yaml.safe_load(right)["users"][0]["user"]["token"] not in made.log("alice", "prepare")


def test_runs_engines_through_a_kubeconfig(through_kubeconfig: Variant) -> None:
    made = through_kubeconfig
    engines, alice = made.namespace("engines"), made.namespace("alice")
    roles = made.kubectl.run("get", "roles.rbac.authorization.k8s.io", "-n", engines, "-o", "name")
    assert roles.split() == ["role.rbac.authorization.k8s.io/engines-of-alice"]
    assert made.rights("alice", engines) == []
    lite = made.pod("alice")["spec"]["containers"][0]
    mounts = {mount["mountPath"]: mount.get("subPath") for mount in lite["volumeMounts"]}
    assert "/var/run/secrets/kubernetes.io/serviceaccount" not in mounts
    path = made.kuscia_yaml("alice")["runk"]["kubeconfigFile"]
    assert mounts[path] == "kubeconfig"
    made.run_engine("sleeper", "elsewhere")
    eventually(lambda: runs(made, "elsewhere"), 180, "the engine pod runs")
    made.end_job("elsewhere")
    eventually(lambda: not pods(made), 120, "no engine pod is left")
    owner = made.kubectl.get("configmap", "kuscia-engines", "-n", engines)["data"]
    assert owner == {"domain": "alice", "lite": f"{alice}/kuscia-lite-alice"}
    with kusciaapi(made.kubectl, made.release("alice")) as api:
        (state,) = api.call("domain/query", {"domain_id": "alice"})["node_statuses"]
    assert state["status"] == "Ready"
    assert messages.passed(made.test("alice"), messages.ENGINE_NAMESPACE, engines)
