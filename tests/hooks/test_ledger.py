import json

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.cluster.ledger import Ledger, digest
from tests.hooks.fakes import FakeCore


def ledger(kube: Kube, kind: str = "routes") -> Ledger:
    return Ledger(kube, "ns", "ledger", {"a": "b"}, kind)


def test_first_entry_makes_the_configmap(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    assert mine.load() == {}
    mine.entries["alice/bob"] = "abc"
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"routes": '{"alice/bob":"abc"}'}
    assert core.objects["configmaps", "ns", "ledger"]["metadata"]["labels"] == {"a": "b"}
    assert ledger(kube).load() == {"alice/bob": "abc"}


def test_kinds_leave_each_other_alone(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={"appImages": '{"x":"1"}'})
    mine = ledger(kube)
    mine.load()
    mine.entries["a/b"] = "2"
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"appImages": '{"x":"1"}', "routes": '{"a/b":"2"}'}


def test_nothing_new_is_not_written(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={"routes": '{"a/b":"1"}'})
    mine = ledger(kube)
    mine.load()
    mine.save()
    assert core.calls == [("get", "configmaps", "ledger")]


def test_empty_and_absent_stays_absent(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    mine.load()
    mine.save()
    assert core.objects == {}


def test_the_last_entry_goes(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={"routes": '{"a/b":"1"}'})
    mine = ledger(kube)
    mine.load()
    mine.entries.clear()
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"routes": "{}"}


def test_made_by_another_at_the_same_moment(core: FakeCore, kube: Kube) -> None:
    def race(verb: str, kind: str, name: str) -> None:
        if verb == "create":
            core.put("configmaps", "ns", "ledger", data={"appImages": "{}"})

    core.fail = race
    mine = ledger(kube)
    mine.load()
    mine.entries["a/b"] = "1"
    mine.save()
    assert core.data("configmaps", "ns", "ledger") == {"appImages": "{}", "routes": '{"a/b":"1"}'}


def test_an_unreadable_record_counts_as_none(core: FakeCore, kube: Kube) -> None:
    for text in ("{", "[]", '"x"'):
        core.put("configmaps", "ns", "ledger", data={"routes": text})
        assert ledger(kube).load() == {}


def test_ten_thousand_routes_fit(core: FakeCore, kube: Kube) -> None:
    """The API server takes 1 MiB a ConfigMap."""
    mine = ledger(kube)
    mine.load()
    mine.entries = {f"lite-number-{a:03d}/lite-number-{b:03d}": digest([a, b]) for a in range(100) for b in range(100)}
    mine.save()
    assert len(json.dumps(core.data("configmaps", "ns", "ledger"))) < 1024 * 1024


def test_digest() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
