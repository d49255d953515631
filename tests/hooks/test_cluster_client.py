import pytest
from urllib3.exceptions import MaxRetryError

from kuscia_hooks.cluster.client import Conflict, Kube, Waiting
from kuscia_hooks.core import log
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.core.log import logger
from tests.hooks.conftest import secret_data
from tests.hooks.fakes import FakeCore, api_exception


def test_secret(core: FakeCore, kube: Kube) -> None:
    assert kube.secret("ns", "s") is None
    core.put("secrets", "ns", "s", data=secret_data(key="value"))
    assert kube.secret("ns", "s") == {"key": b"value"}


def test_what_was_read_is_not_printed(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    core.put("secrets", "ns", "s", data=secret_data(id="AKID", key="hunter2"))
    kube.secret("ns", "s", public=["id"])
    logger.info("id AKID, key hunter2")
    assert capsys.readouterr().out == f"id AKID, key {log.MASK}\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "Secret ns/s does not exist"),
        ({}, "has no value under key .it has no key"),
        (secret_data(other="x"), "has no value under key .it has other"),
        (secret_data(key=""), "has no value under key"),
    ],
)
def test_missing_values(core: FakeCore, kube: Kube, data: dict[str, str] | None, says: str) -> None:
    if data is not None:
        core.put("secrets", "ns", "s", data=data)
    with pytest.raises(RetryableError, match=says) as error:
        kube.secret_value("ns", "s", "key")
    assert error.value.see == "kubectl get secret s -n ns"


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (401, RetryableError, "takes the token or certificate no longer, or never did"),
        (403, RetryableError, r"resources \[secrets\], resourceNames \[s\], verbs \[get\]"),
        (429, RetryableError, "now"),
        (500, RetryableError, "now"),
        (503, RetryableError, "now"),
        (422, PermanentError, "422"),
    ],
)
def test_the_api_server_refuses(core: FakeCore, kube: Kube, status: int, kind: type[Exception], says: str) -> None:
    def fail(*_: str) -> None:
        raise api_exception(status, 'secrets "s" is forbidden: User "u" cannot get')

    core.fail = fail
    with pytest.raises(kind, match=says) as error:
        kube.secret("ns", "s")
    assert 'User "u" cannot get' in str(error.value)


def test_create_is_not_bound_to_a_name(core: FakeCore, kube: Kube) -> None:
    def fail(*_: str) -> None:
        raise api_exception(403, "forbidden")

    core.fail = fail
    with pytest.raises(RetryableError) as error:
        kube.create_configmap("ns", "c", {}, {})
    assert "resourceNames" not in str(error.value)


def test_no_api_server(core: FakeCore, kube: Kube) -> None:
    def fail(*_: str) -> None:
        raise MaxRetryError(None, "/api", "refused")  # type: ignore[arg-type]

    core.fail = fail
    with pytest.raises(RetryableError, match="API server is not reached"):
        kube.secret("ns", "s")


def test_a_namespace_that_comes_later(core: FakeCore, kube: Kube) -> None:
    def fail(*_: str) -> None:
        raise api_exception(404, 'namespaces "ns" not found')

    core.fail = fail
    with pytest.raises(RetryableError, match='namespaces "ns" not found'):
        kube.create_secret("ns", "s", {}, {})


def test_conflict(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "s", data={})
    with pytest.raises(Conflict):
        kube.create_secret("ns", "s", {}, {})


def test_created_objects(core: FakeCore, kube: Kube) -> None:
    owner = {"apiVersion": "v1", "kind": "Service", "name": "m", "uid": "1"}
    kube.create_secret("ns", "s", {"token": b"abc"}, {"a": "b"}, owner)
    made = core.objects["secrets", "ns", "s"]
    assert made["metadata"] == {
        "name": "s",
        "namespace": "ns",
        "labels": {"a": "b"},
        "ownerReferences": [owner],
    }
    assert made["data"] == secret_data(token="abc")
    kube.delete_secret("ns", "s")
    kube.delete_secret("ns", "s")
    assert kube.secret("ns", "s") is None


def test_service_uid(core: FakeCore, kube: Kube) -> None:
    with pytest.raises(RetryableError, match="Service ns/m does not exist"):
        kube.service_uid("ns", "m")
    core.put("services", "ns", "m")
    assert kube.service_uid("ns", "m") == "uid-m"


def pod(name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": labels}}


def test_pods_by_label(core: FakeCore, kube: Kube) -> None:
    core.pods["ns"] = [pod("a", app="x", part="y"), pod("b", app="x"), pod("c", app="z")]
    assert [found["metadata"]["name"] for found in kube.pods("ns", "app=x,part!=y")] == ["b"]


def test_pods_that_may_not_be_listed(core: FakeCore, kube: Kube) -> None:
    def forbidden(verb: str, kind: str, name: str) -> None:
        raise api_exception(403, "pods is forbidden")

    core.fail = forbidden
    with pytest.raises(RetryableError, match=r"resources \[pods\], verbs \[list\]") as error:
        kube.pods("ns", "app=x")
    assert "can-i list pods -n ns" in error.value.see


def test_log(core: FakeCore, kube: Kube) -> None:
    core.pods["ns"] = [pod("a")]
    core.logs["ns", "a", "c", False] = "eins\nzwei ü".encode()
    assert kube.pod_log("ns", "a", "c", 10) == "eins\nzwei ü"
    assert kube.pod_log("ns", "a", "c", 10, previous=True) is None
    assert kube.pod_log("ns", "gone", "c", 10) is None
    assert list(kube.follow_log("ns", "a", "c", True)) == ["eins", "zwei ü"]
    for name, container in (("a", "other"), ("gone", "c")):
        with pytest.raises(Waiting):
            list(kube.follow_log("ns", name, container, True))


def test_service(core: FakeCore, kube: Kube) -> None:
    assert kube.service("ns", "s") is None
    core.put("services", "ns", "s", spec={"clusterIP": "10.1.1.1"})
    assert (kube.service("ns", "s") or {})["spec"] == {"clusterIP": "10.1.1.1"}
