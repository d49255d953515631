import time

import httpx
import pytest

from kuscia_hooks.cluster.client import Conflict, Kube, NoLogYet
from kuscia_hooks.cluster.login import Login
from kuscia_hooks.core import redaction, tls
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import Deadline
from tests.hooks.builders import secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.cluster import FakeCore, api_exception
from tests.hooks.fakes.dripping import dripping


def test_decodes_the_values_of_a_secret(core: FakeCore, kube: Kube) -> None:
    assert kube.secret("ns", "s") is None
    core.put("secrets", "ns", "s", data=secret_data(key="value"))
    assert kube.secret("ns", "s") == {"key": b"value"}


def test_masks_secret_values_in_the_log(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    core.put("secrets", "ns", "s", data=secret_data(id="AKID", key="hunter2"))
    kube.secret("ns", "s", public=["id"])
    logger.info("id AKID, key hunter2")
    assert capsys.readouterr().out == f"id AKID, key {redaction.MASK}\n"


@pytest.mark.parametrize(
    ("data", "error_id"),
    [
        (None, "secret-not-found"),
        ({}, "secret-key-missing"),
        (secret_data(other="x"), "secret-key-missing"),
        (secret_data(key=""), "secret-key-missing"),
    ],
)
def test_reports_missing_secret_value(core: FakeCore, kube: Kube, data: dict[str, str] | None, error_id: str) -> None:
    if data is not None:
        core.put("secrets", "ns", "s", data=data)
    with fails(error_id) as error:
        kube.secret_value("ns", "s", "key")
    assert "ns/s" in error.value.message
    assert "kubectl create secret generic s -n ns --from-file=key=<file>" in error.value.fix
    assert error.value.see == "kubectl get secret s -n ns"


def test_fix_quotes_names_from_outside(kube: Kube) -> None:
    with fails("secret-not-found") as error:
        kube.secret_value("ns", "s; reboot", "a b")
    assert "generic 's; reboot' -n ns --from-file='a b'=<file>" in error.value.fix


@pytest.mark.parametrize(
    ("status", "error_id", "retryable"),
    [
        (401, "api-server-unauthorized", True),
        (403, "permission-denied", True),
        (429, "api-server-unavailable", True),
        (500, "api-server-unavailable", True),
        (503, "api-server-unavailable", True),
        (422, "api-server-rejected", False),
    ],
)
def test_classifies_api_server_errors(core: FakeCore, kube: Kube, status: int, error_id: str, retryable: bool) -> None:
    core.refuse(api_exception(status, 'secrets "s" is forbidden: User "u" cannot get'))
    with fails(error_id) as error:
        kube.secret("ns", "s")
    assert error.value.retryable is retryable
    assert 'User "u" cannot get' in error.value.message


def test_denied_request_names_the_missing_role(core: FakeCore, kube: Kube) -> None:
    core.refuse(api_exception(403, 'secrets "s" is forbidden: User "system:serviceaccount:ns:a" cannot get\x1b[31m'))
    with fails("permission-denied") as error:
        kube.secret("ns", "s")
    for part in ("namespace ns", "[secrets]", "resourceNames [s]", "[get]"):
        assert part in error.value.fix
    assert "\x1b" not in str(error.value)
    assert error.value.see == "kubectl auth can-i get secrets/s -n ns --as=system:serviceaccount:ns:a"


def test_role_has_the_api_group_of_the_resource(core: FakeCore, kube: Kube) -> None:
    core.refuse(api_exception(403, "jobs.batch is forbidden"))
    with fails("permission-denied") as error:
        kube.jobs("ns", "a=b")
    assert "['batch']" in error.value.fix
    assert error.value.see == "kubectl auth can-i list jobs -n ns"


@pytest.mark.parametrize(
    ("message", "command"),
    [
        (
            'secrets "s" is forbidden: exceeded quota: q, requested: secrets=1, used: secrets=5, limited: secrets=5',
            "kubectl describe resourcequota -n ns",
        ),
        (
            'secrets "s" is forbidden: unable to create new content in namespace ns because it is being terminated',
            "kubectl get namespace ns",
        ),
        ('admission webhook "validate.kyverno.svc" denied the request: label team is required', ""),
    ],
)
def test_offers_no_role_for_what_a_role_does_not_permit(core: FakeCore, kube: Kube, message: str, command: str) -> None:
    core.refuse(api_exception(403, message))
    with fails("request-forbidden") as error:
        kube.create_secret("ns", "s", {}, {})
    assert message in error.value.message
    assert "Role" not in error.value.fix
    assert error.value.see == command


def test_role_for_create_has_no_resource_names(core: FakeCore, kube: Kube) -> None:
    core.refuse(api_exception(403, "forbidden"))
    with fails("permission-denied") as error:
        kube.create_configmap("ns", "c", {}, {})
    assert "resourceNames" not in str(error.value)


def test_reports_unreachable_api_server(core: FakeCore, kube: Kube) -> None:
    core.refuse(httpx.ConnectError("refused"))
    with fails("api-server-unreachable"):
        kube.secret("ns", "s")


def test_retries_when_namespace_is_missing(core: FakeCore, kube: Kube) -> None:
    core.refuse(api_exception(404, 'namespaces "ns" not found'))
    with fails("object-not-found"):
        kube.create_secret("ns", "s", {}, {})


def test_reports_a_conflict_if_the_object_exists(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "s", data={})
    with pytest.raises(Conflict):
        kube.create_secret("ns", "s", {}, {})


def test_creates_a_secret_with_labels_and_owner_and_deletes_it(core: FakeCore, kube: Kube) -> None:
    owner = {"apiVersion": "v1", "kind": "Service", "name": "m", "uid": "1"}
    kube.create_secret("ns", "s", {"token": b"abc"}, {"a": "b"}, owner)
    made = core.objects["secrets", "ns", "s"]
    assert made["metadata"] == {
        "name": "s",
        "namespace": "ns",
        "labels": {"a": "b"},
        "ownerReferences": [owner],
        "resourceVersion": "1",
    }
    assert made["data"] == secret_data(token="abc")
    kube.delete_secret("ns", "s")
    kube.delete_secret("ns", "s")
    assert kube.secret("ns", "s") is None


def test_reports_a_missing_service_instead_of_its_uid(core: FakeCore, kube: Kube) -> None:
    with fails("service-not-found"):
        kube.service_uid("ns", "m")
    core.put("services", "ns", "m")
    assert kube.service_uid("ns", "m") == "uid-m"


def pod(name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": labels}}


def test_lists_pods_by_label(core: FakeCore, kube: Kube) -> None:
    core.pods["ns"] = [pod("a", app="x", part="y"), pod("b", app="x"), pod("c", app="z")]
    assert [found["metadata"]["name"] for found in kube.pods("ns", "app=x,part!=y")] == ["b"]


def test_reports_missing_permission_to_list_pods(core: FakeCore, kube: Kube) -> None:
    def forbidden(verb: str, kind: str, name: str) -> None:
        raise api_exception(403, "pods is forbidden")

    core.fail = forbidden
    with fails("permission-denied") as error:
        kube.pods("ns", "app=x")
    assert "can-i list pods -n ns" in error.value.see


def test_reads_and_follows_logs(core: FakeCore, kube: Kube) -> None:
    core.pods["ns"] = [pod("a")]
    core.logs["ns", "a", "c", False] = "eins\nzwei ü".encode()
    assert kube.pod_log("ns", "a", "c", 10) == "eins\nzwei ü"
    assert kube.pod_log("ns", "a", "c", 10, previous=True) is None
    assert kube.pod_log("ns", "gone", "c", 10) is None
    assert list(kube.follow_log("ns", "a", "c", Deadline(0))) == ["eins", "zwei ü"]
    for name, container in (("a", "other"), ("gone", "c")):
        with pytest.raises(NoLogYet):
            list(kube.follow_log("ns", name, container, Deadline(0)))


def test_reads_a_service(core: FakeCore, kube: Kube) -> None:
    assert kube.service("ns", "s") is None
    core.put("services", "ns", "s", spec={"clusterIP": "10.1.1.1"})
    assert (kube.service("ns", "s") or {})["spec"] == {"clusterIP": "10.1.1.1"}


@pytest.mark.parametrize("block", [b"line\n", b""])
def test_follows_a_log_until_the_deadline(block: bytes) -> None:
    """The container prints all the time, or nothing."""
    with dripping(block) as url:
        kube = Kube(login=Login(url, tls.unverified()))
        begin = time.monotonic()
        lines = list(kube.follow_log("ns", "p", "c", Deadline(0.5)))
    assert time.monotonic() - begin < 5
    assert set(lines) == ({"line"} if block else set())


def test_reads_the_end_of_a_log_with_long_lines() -> None:
    """The API server cuts off the end of what was asked for."""
    lines = [f"{number} {'x' * 5_000}\n" for number in range(999)] + ["the error\n"]
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        query = request.url.params
        asked.append(int(query["tailLines"]))
        return httpx.Response(200, text="".join(lines[-asked[-1] :])[: int(query["limitBytes"])])

    log = Kube(httpx.MockTransport(answer)).pod_log("ns", "p", "c", 1000)
    assert log is not None
    assert log.endswith("\nthe error\n")
    assert len(log) > 200_000
    assert len(asked) <= 4


def test_reads_the_beginning_of_a_line_without_end() -> None:
    kube = Kube(
        httpx.MockTransport(lambda request: httpx.Response(200, text="x" * int(request.url.params["limitBytes"])))
    )
    assert len(kube.pod_log("ns", "p", "c", 1000) or "") <= 1 << 20
