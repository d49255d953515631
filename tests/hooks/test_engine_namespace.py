import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.engines import Engines
from kuscia_hooks.kuscia import engine_namespace
from tests.hooks.builders import secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore, api_exception

ENGINES = {"namespace": "engines", "lite": "ns/kuscia-lite-alice", "kubeconfigSecret": None}
MINE = {"domain": "alice", "lite": "ns/kuscia-lite-alice"}
BOBS = {"domain": "bob", "lite": "lite-bob/kuscia-lite-bob"}
SERVER = {"server": "https://elsewhere:6443"}
KUBECONFIG: dict[str, Any] = {
    "clusters": [{"name": "c", "cluster": SERVER}],
    "users": [{"name": "u", "user": {"token": "t0ken"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}
LABEL = engine_namespace.DOMAIN_LABEL
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def settings(**fields: Any) -> Engines:
    return Engines.model_validate({**ENGINES, **fields})


def test_accepts_own_namespace(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)
    engine_namespace.claim(settings(), "alice", kube)


@pytest.mark.parametrize("found", [BOBS, {**MINE, "lite": "other/kuscia-lite-alice"}, {**MINE, "domain": "alicia"}, {}])
def test_reports_namespace_of_another_lite(core: FakeCore, kube: Kube, found: dict[str, str]) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=found)
    with fails("engine-namespace-taken") as error:
        engine_namespace.claim(settings(), "alice", kube)
    assert f"domain {found.get('domain')}" in error.value.message
    assert f"kubectl -n engines delete configmap {engine_namespace.MARKER}" in error.value.fix


def test_retries_until_marker_of_the_release_exists(core: FakeCore, kube: Kube) -> None:
    with fails("engine-marker-not-found"):
        engine_namespace.claim(settings(), "alice", kube)
    assert ("create", "configmaps", engine_namespace.MARKER) not in core.calls


KC = {"kubeconfigSecret": {"name": "kc", "key": "kubeconfig"}}


def test_first_lite_claims_namespace_with_kubeconfig(core: FakeCore, kube: Kube) -> None:
    engine_namespace.claim(settings(**KC), "alice", kube)
    assert core.data("configmaps", "engines", engine_namespace.MARKER) == MINE
    engine_namespace.claim(settings(**KC), "alice", kube)
    with fails("engine-namespace-taken") as error:
        engine_namespace.claim(settings(**KC, lite="lite-bob/kuscia-lite-bob"), "bob", kube)
    assert "alice (ns/kuscia-lite-alice)" in error.value.message


def test_concurrent_claim_has_one_winner(core: FakeCore, kube: Kube) -> None:
    """The other lite creates the ConfigMap between read and create."""

    def fail(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "configmaps"):
            core.put("configmaps", "engines", engine_namespace.MARKER, data=BOBS)

    core.fail = fail
    with fails("engine-namespace-taken"):
        engine_namespace.claim(settings(**KC), "alice", kube)


def test_reports_missing_permission_to_list_pods(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)

    def fail(verb: str, kind: str, name: str) -> None:
        if kind == "pods":
            raise api_exception(403, "pods is forbidden")

    core.fail = fail
    with fails("permission-denied") as error:
        engine_namespace.report_left_behind(settings(), "alice", kube)
    assert "[pods]" in error.value.fix


ALL = {(verb, resource) for resource in engine_namespace.RESOURCES for verb in engine_namespace.VERBS}


def test_accepts_sufficient_permissions(core: FakeCore, kube: Kube) -> None:
    core.refused = {("get", "pods/log"), ("update", "pods")}
    engine_namespace.check_rights(settings(), False, kube)
    assert {name for _, _, name in core.calls} == {" ".join(right) for right in ALL}


def test_lists_all_missing_permissions(core: FakeCore, kube: Kube) -> None:
    """Kuscia would wait for its informers without a message."""
    core.refused = {("watch", "secrets"), ("list", "secrets"), ("delete", "pods"), ("get", "pods/log")}
    with fails("runk-forbidden") as error:
        engine_namespace.check_rights(settings(**KC), True, kube)
    assert error.value.message.endswith("delete pods; list, watch secrets; get pods/log")
    again = " --dry-run=client -o yaml | kubectl apply -f -"
    assert error.value.fix == (
        "kubectl -n engines create role kuscia --resource=pods,configmaps,secrets --verb=get,list,watch,create,delete"
        f"{again} && kubectl -n engines create role kuscia-logs --resource=pods/log --verb=get{again}"
    )


def test_fix_creates_missing_role_only(core: FakeCore, kube: Kube) -> None:
    core.refused = {("get", "pods/log")}
    with fails("runk-forbidden") as error:
        engine_namespace.check_rights(settings(**KC), True, kube)
    assert error.value.fix.startswith("kubectl -n engines create role kuscia-logs ")
    assert " && " not in error.value.fix


def test_fix_names_role_of_the_release(core: FakeCore, kube: Kube) -> None:
    core.refused = ALL
    with fails("runk-forbidden") as error:
        engine_namespace.check_rights(settings(), False, kube)
    assert "kuscia-lite-alice-runk" in error.value.fix
    assert "get, list, watch, create, delete pods; " in error.value.message


def test_commands_equal_documentation() -> None:
    for document in ("variants.md", "variants.zh-CN.md"):
        text = (Path(__file__).parents[2] / "docs" / document).read_text()
        for command in engine_namespace.role_commands("alice-engines"):
            assert f"    {command}\n" in text


def test_logs_remaining_engine_pods(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    core.put_pod("engines", "job-a-0", {LABEL: "alice"})
    core.put_pod("engines", "job-c-0", {LABEL: "carol"})
    core.put_pod("engines", "something-else", {"app": "x"})
    core.put_pod("elsewhere", "job-b-0", {LABEL: "bob"})
    engine_namespace.report_left_behind(settings(), "alice", kube)
    own, foreign, fix = capsys.readouterr().out.splitlines()
    assert "engines: job-a-0." in own
    assert own.endswith(f"kubectl -n engines delete pods,configmaps,secrets -l {LABEL}=alice")
    assert foreign.startswith("WARNING [engine-pods-orphaned] ")
    assert foreign.endswith("carol: job-c-0")
    assert fix.endswith(f"-l {LABEL}=carol")


def test_logs_nothing_without_engine_pods(kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    engine_namespace.report_left_behind(settings(), "alice", kube)
    assert capsys.readouterr().out == ""


def test_check_fails_only_for_engines_of_other_domains(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)
    core.put_pod("engines", "job-a-0", {LABEL: "alice"})
    assert "1 engine pods" in engine_namespace.check_pods(settings(), "alice", kube)
    core.put_pod("engines", "job-c-0", {LABEL: "carol"})
    with fails("engine-pods-orphaned") as error:
        engine_namespace.check_pods(settings(), "alice", kube)
    assert error.value.message.endswith("carol: job-c-0")
    assert error.value.fix == engine_namespace.removal("engines", "carol")


def test_pull_secrets(core: FakeCore, kube: Kube) -> None:
    core.put("serviceaccounts", "engines", "default", imagePullSecrets=[{"name": "other"}, {"name": "registry"}])
    assert "registry" in engine_namespace.check_pull_secrets(settings(), ["registry"], kube)
    with fails("pull-secrets-missing") as error:
        engine_namespace.check_pull_secrets(settings(), ["registry", "mirror"], kube)
    assert "imagePullSecrets mirror." in error.value.message
    assert error.value.fix == (
        "kubectl -n engines patch serviceaccount default -p "
        """'{"imagePullSecrets":[{"name":"registry"},{"name":"mirror"}]}'"""
    )


def test_reports_missing_account_or_pull_secrets(core: FakeCore, kube: Kube) -> None:
    with fails("service-account-not-found"):
        engine_namespace.check_pull_secrets(settings(), ["registry"], kube)
    core.put("serviceaccounts", "engines", "default")
    with fails("pull-secrets-missing"):
        engine_namespace.check_pull_secrets(settings(), ["registry"], kube)


@pytest.mark.parametrize(("minutes", "stale"), [(-1, False), (0, False), (1, True)])
def test_reports_recreated_service(core: FakeCore, kube: Kube, minutes: int, stale: bool) -> None:
    component = {"app.kubernetes.io/component": "lite"}
    core.put_pod("ns", "kuscia-lite-alice-abc-1", component, NOON)
    core.put_pod("ns", "kuscia-lite-alice-abc-2", component)
    core.put_pod("ns", "kuscia-lite-bob-abc-1", component, NOON - datetime.timedelta(days=1))
    core.put("services", "ns", "svc")
    created = NOON + datetime.timedelta(minutes=minutes)
    core.objects["services", "ns", "svc"]["metadata"]["creationTimestamp"] = created.isoformat()
    if not stale:
        assert "older than" in engine_namespace.check_dns("svc", "ns", "kuscia-lite-alice", kube)
        return
    with fails("dns-service-recreated") as error:
        engine_namespace.check_dns("svc", "ns", "kuscia-lite-alice", kube)
    assert "12:01:00" in error.value.message
    assert error.value.fix == "kubectl -n ns rollout restart deployment/kuscia-lite-alice"


def edited(**changes: Any) -> str:
    return yaml.safe_dump({**KUBECONFIG, **changes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "YAML"),
        ("hello", "current-context"),
        (edited(**{"current-context": ""}), "current-context"),
        (edited(users=[{"name": "u", "user": {"exec": {"command": "aws"}}}]), "users.u.exec"),
        (edited(users=[{"name": "u", "user": {"tokenFile": "/x"}}]), "users.u.tokenFile"),
        (edited(clusters=[{"name": "c", "cluster": {**SERVER, "certificate-authority": "/x"}}]), "clusters.c.cert"),
        (edited(**{"current-context": "y"}), "context y not found"),
        (edited(**{"current-context": ["x"]}), "at current-context (Input should be a valid string)"),
        (edited(clusters="hello"), "at clusters (Input should be a valid list)"),
        (edited(clusters=["hello"]), "at clusters.0 ("),
        (edited(clusters=[{"name": "c"}]), "at clusters.0.cluster (Field required)"),
        (edited(clusters=[{"name": "c", "cluster": {}}]), "at clusters.0.cluster.server (Field required)"),
        (edited(clusters=[{"name": "c", "cluster": {"server": "hello"}}]), "at clusters.0.cluster.server ("),
        (edited(clusters=[{"name": "c", "cluster": {"server": 7}}]), "at clusters.0.cluster.server ("),
        (edited(users=["t0ken"]), "at users.0 ("),
        (edited(users=[{"name": "u", "user": "t0ken"}]), "at users.0.user ("),
        (edited(users=[{"name": "u", "user": {"token": 7}}]), "at users.0.user.token ("),
        (edited(users=[]), "contexts.x refers to user u"),
        (edited(contexts="hello"), "at contexts (Input should be a valid list)"),
        (edited(contexts=[{"name": "x"}]), "at contexts.0.context (Field required)"),
    ],
)  # fmt: skip
def test_rejects_invalid_kubeconfig(core: FakeCore, kube: Kube, text: str, says: str) -> None:
    core.put("secrets", "ns", "kc", data=secret_data(kubeconfig=text))
    with fails("invalid-kubeconfig") as error:
        engine_namespace.reach(settings(**KC), "ns", kube)
    assert "ns/kc" in error.value.message
    assert says in error.value.message
    assert "t0ken" not in error.value.message


def test_reports_missing_kubeconfig_secret(core: FakeCore, kube: Kube) -> None:
    with fails("secret-not-found"):
        engine_namespace.reach(settings(**KC), "ns", kube)
    core.put("secrets", "ns", "kc", data=secret_data(config=yaml.safe_dump(KUBECONFIG)))
    with fails("secret-key-missing"):
        engine_namespace.reach(settings(**KC), "ns", kube)


def test_kubeconfig_selects_its_cluster(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "kc", data=secret_data(kubeconfig=yaml.safe_dump(KUBECONFIG)))
    there, text = engine_namespace.reach(settings(**KC), "ns", kube)
    assert there is not kube
    assert there.server == "https://elsewhere:6443"
    assert text is not None


def test_pod_of_a_lost_node_has_no_time() -> None:
    ended = {"exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": None, "finishedAt": None}
    item = {
        "metadata": {"name": "kuscia-lite-alice-abc-1", "labels": None},
        "status": {"initContainerStatuses": [{"name": "prepare", "state": {"terminated": ended}}]},
    }
    assert engine_namespace.Pod.of(item) == engine_namespace.Pod("kuscia-lite-alice-abc-1", {}, None)
