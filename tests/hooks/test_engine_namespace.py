import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Engines
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.kuscia import engine_namespace
from tests.hooks.conftest import secret_data
from tests.hooks.fakes import FakeCore, api_exception

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


def test_the_namespace_is_mine(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)
    engine_namespace.claim(settings(), "alice", kube)


@pytest.mark.parametrize("found", [BOBS, {**MINE, "lite": "other/kuscia-lite-alice"}, {**MINE, "domain": "alicia"}, {}])
def test_the_namespace_is_another_lites(core: FakeCore, kube: Kube, found: dict[str, str]) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=found)
    with pytest.raises(RetryableError, match="every lite needs one of its own") as error:
        engine_namespace.claim(settings(), "alice", kube)
    assert f"domain {found.get('domain')}" in error.value.message
    assert f"kubectl -n engines delete configmap {engine_namespace.MARKER}" in error.value.message


def test_the_releases_own_marker_is_waited_for(core: FakeCore, kube: Kube) -> None:
    with pytest.raises(RetryableError, match="of this release does not exist"):
        engine_namespace.claim(settings(), "alice", kube)
    assert ("create", "configmaps", engine_namespace.MARKER) not in core.calls


KC = {"kubeconfigSecret": {"name": "kc", "key": "kubeconfig"}}


def test_behind_a_kubeconfig_the_first_lite_takes_the_namespace(core: FakeCore, kube: Kube) -> None:
    engine_namespace.claim(settings(**KC), "alice", kube)
    assert core.data("configmaps", "engines", engine_namespace.MARKER) == MINE
    engine_namespace.claim(settings(**KC), "alice", kube)
    with pytest.raises(RetryableError, match=r"holds the engines of domain alice \(ns/kuscia-lite-alice\)"):
        engine_namespace.claim(settings(**KC, lite="lite-bob/kuscia-lite-bob"), "bob", kube)


def test_two_lites_that_come_at_once(core: FakeCore, kube: Kube) -> None:
    """The other one wins between the look and the claim."""

    def fail(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "configmaps"):
            core.put("configmaps", "engines", engine_namespace.MARKER, data=BOBS)

    core.fail = fail
    with pytest.raises(RetryableError, match="holds the engines of domain bob"):
        engine_namespace.claim(settings(**KC), "alice", kube)


def test_prepare_names_the_role_that_is_missing(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)

    def fail(verb: str, kind: str, name: str) -> None:
        if kind == "pods":
            raise api_exception(403, "pods is forbidden")

    core.fail = fail
    with pytest.raises(RetryableError, match=r"refuses to list pods in engines .*resources \[pods\], verbs \[list\]"):
        engine_namespace.report_left_behind(settings(), "alice", kube)


ALL = {(verb, resource) for resource in engine_namespace.RESOURCES for verb in engine_namespace.VERBS}


def test_rights_that_are_there(core: FakeCore, kube: Kube) -> None:
    core.refused = {("get", "pods/log"), ("update", "pods")}
    engine_namespace.check_rights(settings(), False, kube)
    assert {name for _, _, name in core.calls} == {" ".join(right) for right in ALL}


def test_all_rights_that_lack_are_named_at_once(core: FakeCore, kube: Kube) -> None:
    """Kuscia would wait for its informers of what it cannot list or watch, without a word."""
    core.refused = {("watch", "secrets"), ("list", "secrets"), ("delete", "pods"), ("get", "pods/log")}
    with pytest.raises(
        RetryableError, match="refuses what RunK does in engines: the user of the kubeconfig may not "
    ) as error:
        engine_namespace.check_rights(settings(**KC), True, kube)
    assert "may not delete pods; list, watch secrets; get pods/log. Expected is a Role" in error.value.message
    again = " --dry-run=client -o yaml | kubectl apply -f -"
    assert error.value.see == (
        "kubectl -n engines create role kuscia --resource=pods,configmaps,secrets --verb=get,list,watch,create,delete"
        f"{again} && kubectl -n engines create role kuscia-logs --resource=pods/log --verb=get{again}"
    )


def test_only_the_role_that_lacks_is_to_be_made(core: FakeCore, kube: Kube) -> None:
    core.refused = {("get", "pods/log")}
    with pytest.raises(RetryableError) as error:
        engine_namespace.check_rights(settings(**KC), True, kube)
    assert error.value.see.startswith("kubectl -n engines create role kuscia-logs ")
    assert " && " not in error.value.see


def test_the_releases_own_role_lacks(core: FakeCore, kube: Kube) -> None:
    core.refused = ALL
    with pytest.raises(
        RetryableError, match="Expected are Role and RoleBinding kuscia-lite-alice-runk of this"
    ) as error:
        engine_namespace.check_rights(settings(), False, kube)
    assert "this lite's ServiceAccount may not get, list, watch, create, delete pods; " in error.value.message


def test_the_command_is_the_documents() -> None:
    for document in ("variants.md", "variants.zh-CN.md"):
        text = (Path(__file__).parents[2] / "docs" / document).read_text()
        for command in engine_namespace.role_commands("alice-engines"):
            assert f"    {command}\n" in text


def test_what_was_left_behind_is_named(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    core.put_pod("engines", "job-a-0", {LABEL: "alice"})
    core.put_pod("engines", "job-c-0", {LABEL: "carol"})
    core.put_pod("engines", "something-else", {"app": "x"})
    core.put_pod("elsewhere", "job-b-0", {LABEL: "bob"})
    engine_namespace.report_left_behind(settings(), "alice", kube)
    own, foreign = capsys.readouterr().out.splitlines()
    assert "earlier start of this lite run in engines: job-a-0." in own
    assert own.endswith(f"kubectl -n engines delete pods,configmaps,secrets -l {LABEL}=alice")
    assert "of domain carol were left behind in engines: job-c-0." in foreign
    assert foreign.endswith(f"-l {LABEL}=carol")


def test_nothing_was_left_behind(kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    engine_namespace.report_left_behind(settings(), "alice", kube)
    assert capsys.readouterr().out == ""


def test_check_fails_for_engines_of_other_domains_alone(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)
    core.put_pod("engines", "job-a-0", {LABEL: "alice"})
    assert "1 engine pods" in engine_namespace.check_pods(settings(), "alice", kube)
    core.put_pod("engines", "job-c-0", {LABEL: "carol"})
    with pytest.raises(RetryableError, match="left behind in engines: carol: job-c-0") as error:
        engine_namespace.check_pods(settings(), "alice", kube)
    assert error.value.see == engine_namespace.removal("engines", "carol")


def test_pull_secrets(core: FakeCore, kube: Kube) -> None:
    core.put("serviceaccounts", "engines", "default", pull_secrets=["other", "registry"])
    assert "carries registry" in engine_namespace.check_pull_secrets(settings(), ["registry"], kube)
    with pytest.raises(RetryableError, match="does not carry imagePullSecrets mirror,") as error:
        engine_namespace.check_pull_secrets(settings(), ["registry", "mirror"], kube)
    assert error.value.see == (
        "kubectl -n engines patch serviceaccount default -p "
        """'{"imagePullSecrets":[{"name":"registry"},{"name":"mirror"}]}'"""
    )


def test_an_account_without_pull_secrets_or_none_at_all(core: FakeCore, kube: Kube) -> None:
    with pytest.raises(RetryableError, match="ServiceAccount engines/default does not exist"):
        engine_namespace.check_pull_secrets(settings(), ["registry"], kube)
    core.put("serviceaccounts", "engines", "default")
    with pytest.raises(RetryableError, match="does not carry"):
        engine_namespace.check_pull_secrets(settings(), ["registry"], kube)


@pytest.mark.parametrize(("minutes", "stale"), [(-1, False), (0, False), (1, True)])
def test_a_service_made_anew(core: FakeCore, kube: Kube, minutes: int, stale: bool) -> None:
    component = {"app.kubernetes.io/component": "lite"}
    core.put_pod("ns", "kuscia-lite-alice-abc-1", component, NOON)
    core.put_pod("ns", "kuscia-lite-alice-abc-2", component)
    core.put_pod("ns", "kuscia-lite-bob-abc-1", component, NOON - datetime.timedelta(days=1))
    core.put("services", "ns", "svc")
    core.objects["services", "ns", "svc"]["metadata"]["creation_timestamp"] = NOON + datetime.timedelta(minutes=minutes)
    if not stale:
        assert "older than" in engine_namespace.check_dns("svc", "ns", "kuscia-lite-alice", kube)
        return
    with pytest.raises(RetryableError, match="made anew at 12:01:00") as error:
        engine_namespace.check_dns("svc", "ns", "kuscia-lite-alice", kube)
    assert error.value.see == "kubectl -n ns rollout restart deployment/kuscia-lite-alice"


def edited(**changes: Any) -> str:
    return yaml.safe_dump({**KUBECONFIG, **changes})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "it is not YAML"),
        ("hello", "no clusters or no current-context"),
        (edited(**{"current-context": ""}), "no clusters or no current-context"),
        (edited(users=[{"name": "u", "user": {"exec": {"command": "aws"}}}]), "users.u has exec"),
        (edited(users=[{"name": "u", "user": {"tokenFile": "/x"}}]), "users.u has tokenFile"),
        (edited(clusters=[{"name": "c", "cluster": {**SERVER, "certificate-authority": "/x"}}]), "clusters.c has cert"),
        (edited(**{"current-context": "y"}), "Expected object with name y"),
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
        (edited(users=[]), "its users lack u, whom contexts.x names"),
        (edited(contexts="hello"), "at contexts (Input should be a valid list)"),
        (edited(contexts=[{"name": "x"}]), "at contexts.0.context (Field required)"),
    ],
)  # fmt: skip
def test_a_kubeconfig_that_does_not_work_in_a_container(core: FakeCore, kube: Kube, text: str, says: str) -> None:
    core.put("secrets", "ns", "kc", data=secret_data(kubeconfig=text))
    with pytest.raises(RetryableError, match="kubeconfig of Secret ns/kc is no kubeconfig for engine pods") as error:
        engine_namespace.reach(settings(**KC), "ns", kube)
    assert says in error.value.message
    assert "t0ken" not in error.value.message


def test_the_kubeconfigs_secret_is_missing(core: FakeCore, kube: Kube) -> None:
    with pytest.raises(RetryableError, match="Secret ns/kc does not exist"):
        engine_namespace.reach(settings(**KC), "ns", kube)
    core.put("secrets", "ns", "kc", data=secret_data(config=yaml.safe_dump(KUBECONFIG)))
    with pytest.raises(RetryableError, match=r"Secret ns/kc has no value under kubeconfig \(it has config\)"):
        engine_namespace.reach(settings(**KC), "ns", kube)


def test_a_kubeconfig_leads_to_its_cluster(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "kc", data=secret_data(kubeconfig=yaml.safe_dump(KUBECONFIG)))
    there, text = engine_namespace.reach(settings(**KC), "ns", kube)
    assert there is not kube
    assert there._core.api_client.configuration.host == "https://elsewhere:6443"
    assert text is not None


def test_many_names_are_cut() -> None:
    assert engine_namespace.shown([f"p{number:02}" for number in range(12)]).endswith("p09 and 2 more")
