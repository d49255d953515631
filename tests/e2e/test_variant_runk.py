"""RunK: what engine pods get, what the lite may do, whose the engine namespace is, what an uninstall leaves behind."""

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
from tests.e2e.engines import DOMAIN, SAYS, sleeper
from tests.e2e.variants import Variant, variant
from tests.e2e.waiting import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long]

RUNTIME_CLASS = "v-runk-plain"
POOL = "v-runk-pool"
VERBS = ["get", "list", "watch", "create", "delete"]
PRESET = yaml.safe_load((ROOT / "values/alice-engine-pods.yaml").read_text())["lite"]["runk"]


def engine_pods() -> dict[str, Any]:
    """values/alice-engine-pods.yaml, for a node label and a RuntimeClass that exist here."""
    match = {"key": POOL, "operator": "In", "values": ["engines"]}
    affinity = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}
    }
    return {"lite": {"runk": {"affinity": {"nodeAffinity": affinity}, "runtimeClassName": RUNTIME_CLASS}}}


@pytest.fixture(scope="module")
def node(demo: Demo) -> Iterator[None]:
    """A node for engines, and a RuntimeClass: what the preset asks of a cluster."""
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
    """The engine pods of alice's namespace, by name."""
    found = made.kubectl.get("pods", "-n", made.namespace("engines"), "-l", DOMAIN)["items"]
    return {pod["metadata"]["name"]: pod for pod in found}


def runs(made: Variant, job: str) -> bool:
    pod = pods(made).get(f"{job}-task-0")
    return bool(pod and pod["status"]["phase"] == "Running")


def log_of(made: Variant, task: str) -> str:
    """Engine output as the lite's own KusciaAPI has it (log/task/query answers a stream)."""
    with made.kubectl.port_forward(made.namespace("alice"), "service/kuscia-lite-alice", 8082) as port:
        answer = httpx.post(
            f"https://127.0.0.1:{port}/api/v1/log/task/query",
            headers={"Token": domain_key.api_token(made.key("alice"), "alice")},
            json={"task_id": task, "replica_idx": 0},
            verify=False,
        )
    return answer.text


def test_the_lite_may_do_what_runk_calls_and_no_more(runk: Variant) -> None:
    """pods/log is there because the preset asks for engine logs."""
    rules = runk.rights("alice", runk.namespace("engines"))
    found = {resource: rule["verbs"] for rule in rules for resource in rule["resources"]}
    assert found == {"pods": VERBS, "configmaps": VERBS, "secrets": VERBS, "pods/log": ["get"]}
    (own,) = runk.rights("alice", runk.namespace("alice"))
    assert (own["resources"], own["verbs"], own["resourceNames"]) == (
        ["secrets"], ["get"], ["kuscia-lite-alice-domain-key"],
    )  # fmt: skip


def test_check_may_look_and_touch_nothing(runk: Variant) -> None:
    rules = runk.rights("alice", runk.namespace("engines"), "-check")
    found = [(rule["resources"], rule["verbs"], rule.get("resourceNames")) for rule in rules]
    assert sorted(found, key=str) == [
        (["configmaps"], ["get"], ["kuscia-engines"]),
        (["pods"], ["list"], None),
        (["serviceaccounts"], ["get"], ["default"]),
    ]


def test_engine_pods_get_what_the_values_say(runk: Variant) -> None:
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
    assert SAYS in log_of(runk, "dressed-task"), "kept, since enableLogging is on"


def test_no_log_without_enable_logging(runk: Variant) -> None:
    """Neither the right to read engine logs nor any in the lite."""
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


def test_a_second_lite_in_the_same_engine_namespace_is_refused(runk: Variant) -> None:
    """Helm says whose it is, before it makes anything."""
    bob = Variant(runk.kubectl, runk.images, "engines", parties=("bob",))
    shared = {"lite": {"runk": {"namespace": runk.namespace("engines")}}}
    with pytest.raises(CommandError) as error:
        bob.install("bob", values=shared, wait=False)
    for word in ("kuscia-engines", runk.namespace("engines"), "cannot be", runk.namespace("alice")):
        assert word in str(error.value)
    uninstall(runk.kubectl, bob.release("bob"))


def test_capacity_that_is_missing(runk: Variant) -> None:
    """Helm names each that lacks, and changes nothing."""
    before = runk.pod("alice")["metadata"]["name"]
    with pytest.raises(CommandError) as error:
        runk.install("alice", values={"lite": {"capacity": {"memory": None, "storage": None}}})
    for words in ("2 errors in the values", "lite.capacity.memory", "lite.capacity.storage", "example: lite.capacity."):
        assert words in str(error.value)
    assert "RunK needs cpu, memory and storage: what engines may use" in str(error.value)
    assert runk.pod("alice")["metadata"]["name"] == before


def test_an_engine_namespace_that_another_took_without_helm(runk: Variant) -> None:
    """As `kubectl apply` of two rendered releases would: prepare says whose it is, and goes on once it is free."""
    engines, alice = runk.namespace("engines"), runk.namespace("alice")

    def owner(domain: str, lite: str) -> None:
        patch = json.dumps({"data": {"domain": domain, "lite": lite}})
        runk.kubectl.run("patch", "configmap", "kuscia-engines", "-n", engines, "-p", patch)

    owner("carol", "lite-carol/kuscia-lite-carol")
    runk.kubectl.run("delete", "pod", runk.pod("alice")["metadata"]["name"], "-n", alice, "--wait")
    says = f"namespace {engines} holds the engines of domain carol (lite-carol/kuscia-lite-carol)"
    eventually(lambda: says in runk.log("alice", "prepare"), 120, "prepare says whose it is")
    owner("alice", f"{alice}/kuscia-lite-alice")
    runk.kubectl.run("rollout", "status", "deployment/kuscia-lite-alice", "-n", alice, "--timeout=180s", timeout=200)


def test_a_service_made_anew(runk: Variant) -> None:
    """Engines would ask the old address for names: check says so, a restart mends it."""
    alice = runk.namespace("alice")
    before = runk.kuscia_yaml("alice")["runk"]["dnsServers"]
    runk.kubectl.run("delete", "service", "kuscia-lite-alice", "-n", alice)
    runk.install("alice")
    with pytest.raises(CommandError) as error:
        runk.test("alice")
    assert "FAIL names for engine pods" in str(error.value)
    assert "Service kuscia-lite-alice was made anew" in str(error.value)
    cure = f"kubectl -n {alice} rollout restart deployment/kuscia-lite-alice"
    assert cure in str(error.value)
    runk.kubectl.run(*cure.split()[1:])
    runk.kubectl.run("rollout", "status", "deployment/kuscia-lite-alice", "-n", alice, "--timeout=180s", timeout=200)
    service = runk.kubectl.get("service", "kuscia-lite-alice", "-n", alice)
    after = runk.kuscia_yaml("alice")["runk"]["dnsServers"]
    assert after == [service["spec"]["clusterIP"]]
    assert after != before
    assert "PASS names for engine pods" in runk.test("alice")


def test_engines_left_behind_by_an_uninstall(runk: Variant) -> None:
    """NOTES had the command; the next lite names them, and the command removes all that was made for them."""
    engines = runk.namespace("engines")
    runk.run_engine("sleeper", "left")
    eventually(lambda: runs(runk, "left"), 180, "the engine pod runs")
    release = runk.release("alice")
    runk.kubectl.helm("uninstall", release.name, "-n", release.namespace, "--wait")
    assert runs(runk, "left")
    notes = runk.install("alice")
    says = f"engine pods of an earlier start of this lite run in {engines}: left-task-0."
    assert says in runk.log("alice", "prepare")
    command = f"kubectl -n {engines} delete pods,configmaps,secrets -l {DOMAIN}=alice"
    assert command in notes
    assert command in runk.log("alice", "prepare")
    runk.end_job("left")
    runk.kubectl.run(*command.split()[1:])
    for kind in ("pods", "configmaps", "secrets"):
        assert runk.kubectl.get(kind, "-n", engines, "-l", DOMAIN)["items"] == []


def test_engines_of_a_domain_that_is_gone(runk: Variant) -> None:
    """Nobody looks after them: check fails and names them."""
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
    assert f"engine pods of other domains were left behind in {engines}: carol: carols-task-0" in str(error.value)
    runk.kubectl.run(*f"-n {engines} delete pods,configmaps,secrets -l {DOMAIN}=carol".split())
    assert f"PASS engine namespace: namespace {engines} is this lite's alone" in runk.test("alice")


KUBECONFIG_ROLE = [
    {"apiGroups": [""], "resources": ["pods", "configmaps", "secrets"], "verbs": VERBS},
]


def kubeconfig(made: Variant, account: str, rules: list[dict[str, Any]] = KUBECONFIG_ROLE) -> str:
    """A kubeconfig for a ServiceAccount of the engine namespace, made as an administrator would."""
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


def test_a_kubeconfig_that_is_missing_or_wrong(through_kubeconfig: Variant) -> None:
    """prepare says what is wrong with it, and goes on when it is mended, without a hand."""
    made, name = through_kubeconfig, "alice-engines-kubeconfig"
    alice = made.namespace("alice")

    def says(text: str) -> None:
        eventually(lambda: text in made.log("alice", "prepare"), 120, f"prepare says: {text}")

    says(f"Secret {alice}/{name} does not exist")
    made.secret(alice, name, {"config": "hello"})
    says(f"Secret {alice}/{name} has no value under kubeconfig (it has config)")
    made.secret(alice, name, {"kubeconfig": "hello"})
    says(f"kubeconfig of Secret {alice}/{name} is no kubeconfig for engine pods: it has no clusters")
    right = kubeconfig(made, "engines-of-alice")
    wrong = yaml.safe_load(right)
    wrong["users"][0]["user"]["token"] = "nonsense"
    made.secret(alice, name, {"kubeconfig": yaml.safe_dump(wrong)})
    says("(401: Unauthorized)")
    poor = [{**KUBECONFIG_ROLE[0], "resources": ["pods", "configmaps"]}]
    made.secret(alice, name, {"kubeconfig": kubeconfig(made, "half-of-alice", poor)})
    says(f"the user of the kubeconfig may not {', '.join(VERBS)} secrets. Expected is a Role there")
    engines = made.namespace("engines")
    made.kubectl.run("delete", "role/half-of-alice", "rolebinding/half-of-alice", "-n", engines)
    made.secret(alice, name, {"kubeconfig": right})
    made.kubectl.run("rollout", "status", "deployment/kuscia-lite-alice", "-n", alice, "--timeout=180s", timeout=200)
    assert yaml.safe_load(right)["users"][0]["user"]["token"] not in made.log("alice", "prepare")


def test_engines_through_a_kubeconfig(through_kubeconfig: Variant) -> None:
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
    assert f"PASS engine namespace: namespace {engines} is this lite's alone" in made.test("alice")
