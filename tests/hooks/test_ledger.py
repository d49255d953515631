import json
from itertools import permutations

import pytest

from kuscia_hooks.cluster.client import Conflict, Kube
from kuscia_hooks.cluster.ledger import Ledger, Report, digest, reports
from tests.hooks.fakes.cluster import FakeCore

CONTENT, OTHER = digest("content"), digest("other")


def ledger(kube: Kube) -> Ledger:
    mine = Ledger(kube, "ns", "ledger", {"a": "b"})
    mine.load()
    return mine


def stored(core: FakeCore, kind: str = "routes") -> dict[str, object]:
    entries: dict[str, object] = json.loads((core.data("configmaps", "ns", "ledger") or {})[kind])
    return entries


def test_first_entry_creates_configmap(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    mine.kind("routes").confirm("alice/bob", CONTENT)
    mine.save()
    assert stored(core) == {"alice": {"bob": CONTENT[:8]}}
    assert core.objects["configmaps", "ns", "ledger"]["metadata"]["labels"] == {"a": "b"}
    entries = ledger(kube).kind("routes")
    assert list(entries) == ["alice/bob"]
    assert entries.confirmed("alice/bob", CONTENT)
    assert not entries.confirmed("alice/bob", OTHER)


def test_kinds_are_saved_in_one_request(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={"appImages": '{"x":"1"}'})
    mine = ledger(kube)
    mine.kind("routes").confirm("a/b", CONTENT)
    mine.kind("domains").confirm("a", CONTENT)
    mine.save()
    assert [verb for verb, _, _ in core.calls] == ["get", "patch"]
    assert (stored(core, "appImages"), len(stored(core)), len(stored(core, "domains"))) == ({"x": "1"}, 1, 1)


def test_does_not_write_without_changes(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    mine.save()
    assert core.objects == {}
    mine.kind("routes").confirm("a/b", CONTENT)
    mine.save()
    core.calls.clear()
    second = ledger(kube)
    second.kind("routes").confirm("a/b", CONTENT)
    second.kind("routes").report(Report())
    second.save()
    assert core.calls == [("get", "configmaps", "ledger")]


@pytest.mark.parametrize(
    ("kind", "text", "valid"),
    [
        ("routes", '{"alice":"d34db33f","a":{"b":"d34db33f"}}', ["a/b"]),
        ("routes", '{"a":null,"b":[]}', []),
        ("tokens", '{"alice":"d34db33f"}', []),
        ("domains", '{"alice":{"bob":"d34db33f"},"carol":"d34db33f"}', ["carol"]),
        ("domains", "[1]", []),
    ],
)
def test_ignores_damaged_entries(core: FakeCore, kube: Kube, kind: str, text: str, valid: list[str]) -> None:
    core.put("configmaps", "ns", "ledger", data={kind: text})
    assert list(ledger(kube).kind(kind)) == valid


def test_reads_the_format_of_earlier_releases(core: FakeCore, kube: Kube) -> None:
    """It had flat names and longer hashes. What it lists belongs to the release."""
    core.put("configmaps", "ns", "ledger", data={"routes": json.dumps({"alice/bob": CONTENT})})
    entries = ledger(kube).kind("routes")
    assert list(entries) == ["alice/bob"]
    assert entries.confirmed("alice/bob", CONTENT)


def test_marked_entry_belongs_to_the_release_but_has_no_content(kube: Kube) -> None:
    mine = ledger(kube)
    mine.kind("routes").mark(["a/b"])
    mine.save()
    entries = ledger(kube).kind("routes")
    assert "a/b" in entries
    assert not entries.confirmed("a/b", CONTENT)


def test_reverted_entry_is_as_before(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    entries = mine.kind("routes")
    entries.confirm("a/b", CONTENT)
    mine.save()
    entries.mark(["a/b", "a/c"])
    mine.save()
    entries.revert("a/b")
    entries.revert("a/c")
    mine.save()
    assert stored(core) == {"a": {"b": CONTENT[:8]}}
    assert list(entries) == ["a/b"]


def test_dropped_entry_is_removed(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    mine.kind("routes").confirm("a/b", CONTENT)
    mine.save()
    mine.kind("routes").drop("a/b")
    assert len(mine.kind("routes")) == 0
    mine.save()
    assert stored(core) == {}


def test_two_copies_keep_each_others_entries(kube: Kube) -> None:
    """Both read the ledger before either of them writes, first to create it and then to change it."""
    for number in range(2):
        first, second = ledger(kube), ledger(kube)
        first.kind("routes").confirm(f"first/{number}", CONTENT)
        second.kind("routes").confirm(f"second/{number}", CONTENT)
        first.save()
        second.save()
    assert set(ledger(kube).kind("routes")) == {"first/0", "first/1", "second/0", "second/1"}


def test_does_not_remove_an_entry_that_another_copy_wrote(kube: Kube) -> None:
    """The other copy created the object again after this one had deleted it."""
    for late in (False, True):
        mine = ledger(kube)
        mine.kind("routes").confirm("a/b", CONTENT)
        mine.save()
        mine.kind("routes").mark(["a/b"])
        mine.save()
        other = ledger(kube)
        other.kind("routes").mark(["a/b"])
        other.save()
        if late:
            other.kind("routes").confirm("a/b", CONTENT)
            other.save()
        mine.kind("routes").drop("a/b")
        mine.save()
        assert "a/b" in ledger(kube).kind("routes")


def test_content_is_unknown_after_two_copies_wrote_it(kube: Kube) -> None:
    first, second = ledger(kube), ledger(kube)
    first.kind("routes").confirm("a/b", CONTENT)
    first.save()
    second.kind("routes").confirm("a/b", OTHER)
    second.save()
    entries = ledger(kube).kind("routes")
    assert "a/b" in entries
    assert not entries.confirmed("a/b", CONTENT)
    assert not entries.confirmed("a/b", OTHER)


def test_reverts_to_what_another_copy_wrote(kube: Kube) -> None:
    mine, other = ledger(kube), ledger(kube)
    other.kind("routes").confirm("a/b", CONTENT)
    other.save()
    mine.kind("routes").mark(["a/b"])
    mine.save()
    mine.kind("routes").revert("a/b")
    mine.save()
    assert ledger(kube).kind("routes").confirmed("a/b", CONTENT)


def test_creates_a_deleted_configmap_again(core: FakeCore, kube: Kube) -> None:
    mine = ledger(kube)
    mine.kind("routes").confirm("a/b", CONTENT)
    mine.save()
    del core.objects["configmaps", "ns", "ledger"]
    mine.kind("routes").confirm("a/c", CONTENT)
    mine.save()
    assert stored(core) == {"a": {"c": CONTENT[:8]}}


def test_fails_if_others_write_all_the_time(core: FakeCore, kube: Kube) -> None:
    core.put("configmaps", "ns", "ledger", data={})

    def race(verb: str, kind: str, name: str) -> None:
        if verb == "patch":
            core.put("configmaps", "ns", "ledger", data={})

    core.fail = race
    mine = ledger(kube)
    mine.kind("routes").confirm("a/b", CONTENT)
    with pytest.raises(Conflict):
        mine.save()


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_treats_invalid_record_as_empty(core: FakeCore, kube: Kube, text: str) -> None:
    core.put("configmaps", "ns", "ledger", data={"routes": text})
    assert list(ledger(kube).kind("routes")) == []


def test_reports_what_was_left_alone(core: FakeCore, kube: Kube) -> None:
    assert reports(kube, "ns", "ledger") == {}
    mine = ledger(kube)
    mine.kind("routes").report(Report(foreign=["a-b"], leftover=["b-a"]))
    mine.kind("appImages").report(Report())
    mine.save()
    assert reports(kube, "ns", "ledger") == {"routes": Report(("a-b",), ("b-a",))}
    mine.kind("routes").report(Report())
    mine.save()
    assert reports(kube, "ns", "ledger") == {}
    core.put("configmaps", "ns", "ledger", data={"routes.report": "["})
    assert reports(kube, "ns", "ledger") == {}


def test_fits_into_a_configmap(core: FakeCore, kube: Kube) -> None:
    """The limit of the API server is 1 MiB for all keys and values."""
    domains = [f"{number:03d}".rjust(63, "x") for number in range(100)]
    mine = ledger(kube)
    names = [f"{a}/{b}" for a, b in permutations(domains, 2)]
    mine.kind("domains").mark(domains)
    for name in names:
        mine.kind("routes").confirm(name, digest(name))
    left = [name.replace("/", "-") for name in names]
    mine.kind("routes").report(Report(left, left))
    mine.save()
    data = core.data("configmaps", "ns", "ledger") or {}
    assert sum(len(key) + len(value) for key, value in data.items()) < 1024 * 1024
    assert len(json.dumps(core.objects["configmaps", "ns", "ledger"])) < 1024 * 1024
    assert len(ledger(kube).kind("routes")) == 9900


def test_digest_depends_on_the_content_and_not_on_its_order() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
