"""What a lite may read and change of its master's state."""

import pytest

from kuscia_sim.state.remote_store import may_change, may_see, participants
from kuscia_sim.state.store import Object


def obj(name: str, namespace: str = "", labels: dict[str, str] | None = None, **spec: object) -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "spec": spec}


JOB = obj("j", "cross-domain", initiator="alice", tasks=[{"parties": [{"domainID": "bob"}]}])
TASK = obj("t", "cross-domain", initiator="alice", parties=[{"domainID": "bob"}])
NODE = {"kuscia.secretflow/namespace": "alice"}


@pytest.mark.parametrize(
    ("kind", "seen", "sees", "changes"),
    [
        ("domaindatas", obj("table", "alice"), {"alice"}, {"alice"}),
        ("pods", obj("job-0", "bob"), {"bob"}, {"bob"}),
        ("domains", obj("alice"), {"alice"}, set()),
        ("namespaces", obj("alice"), {"alice"}, set()),
        ("clusterdomainroutes", obj("alice-bob", source="alice", destination="bob"), {"alice", "bob"}, set()),
        ("appimages", obj("secretflow-image"), {"alice", "bob", "carol"}, set()),
        ("nodes", obj("pod-a", labels=NODE), {"alice"}, {"alice"}),
        ("kusciajobs", JOB, {"alice", "bob"}, set()),
        ("kusciatasks", TASK, {"alice", "bob"}, set()),
        ("configmaps", obj("x", "kuscia-system"), set(), set()),
    ],
)
def test_access_rules(kind: str, seen: Object, sees: set[str], changes: set[str]) -> None:
    everyone = {"alice", "bob", "carol"}
    assert {name for name in everyone if may_see(name, kind, seen)} == sees
    assert {name for name in everyone if may_change(name, kind, seen)} == changes


def test_participants_of_job() -> None:
    assert participants(JOB["spec"]) == {"alice", "bob"}
    assert participants({}) == set()
