import json

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import Ledger, digest
from tests.hooks.fakes.cluster import FakeCore


def ledger(kube: Kube, kind: str = "routes") -> Ledger:
    return Ledger(kube, "ns", "ledger", {"a": "b"}, kind)


def test_first_entry_creates_configmap(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    assert mine.load() == {}
    mine.entries["alice/bob"] = "abc"
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"routes": '{"alice/bob":"abc"}'}
    assert core.objects["configmaps", "ns", "ledger"]["metadata"]["labels"] == {"a": "b"}
    assert ledger(kube).load() == {"alice/bob": "abc"}


def test_kinds_are_independent(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={"appImages": '{"x":"1"}'})
    mine = ledger(kube)
    mine.load()
    mine.entries["a/b"] = "2"
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"appImages": '{"x":"1"}', "routes": '{"a/b":"2"}'}


def test_does_not_write_without_changes(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={"routes": '{"a/b":"1"}'})
    mine = ledger(kube)
    mine.load()
    mine.save()
    assert core.calls == [("get", "configmaps", "ledger")]


def test_does_not_create_empty_ledger(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    mine.load()
    mine.save()
    assert core.objects == {}


def test_removes_last_entry(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={"routes": '{"a/b":"1"}'})
    mine = ledger(kube)
    mine.load()
    mine.entries.clear()
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"routes": "{}"}


def test_merges_with_concurrently_created_configmap(core: FakeCore, kube: Kube) -> None:
    def race(verb: str, kind: str, name: str) -> None:
        if verb == "create":
            core.put("configmaps", "ns", "ledger", data={"appImages": "{}"})

    core.fail = race
    mine = ledger(kube)
    mine.load()
    mine.entries["a/b"] = "1"
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"appImages": "{}", "routes": '{"a/b":"1"}'}


def test_treats_invalid_record_as_empty(core: FakeCore, kube: Kube) -> None:
    for text in ("{", "[]", '"x"'):
        core.put("configmaps", "ns", "ledger", data={"routes": text})
        assert ledger(kube).load() == {}


def test_fits_ten_thousand_routes(core: FakeCore, kube: Kube) -> None:
    """The limit of the API server is 1 MiB per ConfigMap."""
    mine = ledger(kube)
    mine.load()
    mine.entries = {f"lite-number-{a:03d}/lite-number-{b:03d}": digest([a, b]) for a in range(100) for b in range(100)}
    mine.save()
    assert len(json.dumps(core.data("configmaps", "ns", "ledger"))) < 1024 * 1024


def test_digest() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
