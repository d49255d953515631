"""Properties of `data` for any values, and any data source, tables, grants and ledger that it finds."""

import copy
import functools
import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config.data import Data
from kuscia_hooks.core.errors import StepError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_data, domain_key
from kuscia_hooks.steps import data
from tests.hooks.builders import ALICE_TABLE, data_config, run_step, secret_data
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia

TABLES = ("t1", "t2", "t3")
PARTNERS = ("bob", "carol")
GRANTS = tuple((table, partner) for table in TABLES for partner in PARTNERS)
STATES = st.sampled_from(["absent", "equal", "different"])
SOURCE = {"id": "lake", "type": "localfs", "path": "/data"}


@dataclass
class State:
    """What exists, and what the ledger lists."""

    source: str
    tables: dict[str, str]
    grants: dict[tuple[str, str], str]
    owned: set[Any]


EXISTING = st.builds(
    State,
    STATES,
    st.fixed_dictionaries(dict.fromkeys(TABLES, STATES)),
    st.fixed_dictionaries(dict.fromkeys(GRANTS, STATES)),
    st.sets(st.sampled_from(["lake", *TABLES, *GRANTS])),
)
WANTED = st.tuples(st.sets(st.sampled_from(TABLES)), st.sets(st.sampled_from(GRANTS)))


def config(endpoint: str, tables: set[str], grants: set[tuple[str, str]], **fields: Any) -> Data:
    """Return a configuration with these tables, and those of the grants that have a table."""
    return data_config(
        endpoint,
        source=SOURCE,
        tables=[
            {**ALICE_TABLE, "id": name, "name": name, "relativeUri": f"{name}.csv", "example": None}
            for name in sorted(tables)
        ],
        grants=[{"table": table, "domain": partner} for table, partner in sorted(grants) if table in tables],
        **fields,
    )


class Site:
    """A lite in any state."""

    def __init__(self, core: FakeCore, kuscia: Kuscia, endpoint: str) -> None:
        self.core, self.kuscia, self.endpoint = core, kuscia, endpoint

    def begin(self, state: State) -> None:
        every = config(self.endpoint, set(TABLES), set(GRANTS))
        kuscia = self.kuscia
        kuscia.sources, kuscia.tables, kuscia.grants = {}, {}, {}
        if state.source != "absent":
            source = copy.deepcopy(domain_data.wanted_source(every, ("", "")))
            source["info"]["localfs"]["path"] = "/data" if state.source == "equal" else "/elsewhere"
            kuscia.sources["lake"] = source
        for table in every.tables:
            if (kind := state.tables[table.id]) != "absent":
                body = domain_data.wanted_table(every, table)
                other = {"attributes": {"by": "hand"}} if kind == "different" else {}
                kuscia.tables["alice", table.id] = {**body, **other}
        for (name, partner), kind in state.grants.items():
            if kind != "absent":
                body = domain_data.wanted_grant(every, name, partner)
                kuscia.grants[body["domaindatagrant_id"]] = {
                    **body,
                    **({"grant_domain": "zoe"} if kind != "equal" else {}),
                }
        listed = {
            "sources": [name for name in state.owned if name == "lake"],
            "tables": [name for name in state.owned if name in TABLES],
            "grants": [domain_data.grant_id(*name) for name in state.owned if isinstance(name, tuple)],
        }
        ledger = {kind: json.dumps(dict.fromkeys(names, "00000000")) for kind, names in listed.items()}
        self.core.put("configmaps", "ns", "ledger", data=ledger)

    def objects(self) -> dict[tuple[str, str], Any]:
        """Return all objects by kind and name."""
        kuscia = self.kuscia
        return {
            **{("sources", name): found for name, found in kuscia.sources.items()},
            **{("tables", name): found for (_, name), found in kuscia.tables.items()},
            **{("grants", name): found for name, found in kuscia.grants.items()},
        }

    def owned(self) -> set[tuple[str, str]]:
        ledger = self.core.data("configmaps", "ns", "ledger") or {}
        return {(kind, name) for kind in ("sources", "tables", "grants") for name in json.loads(ledger.get(kind, "{}"))}

    def run(self, settings: Data) -> tuple[Summary, StepError | None]:
        summary = Summary()
        try:
            run_step(data.attempt, settings, Kube(self.core), summary=summary)
        except StepError as error:
            return summary, error
        return summary, None


@pytest.fixture
def site(core: FakeCore, kuscia: Kuscia, endpoint: str, key_pem: bytes, monkeypatch: pytest.MonkeyPatch) -> Site:
    # To check an RSA key takes longer than an attempt.
    monkeypatch.setattr(domain_key, "load_key", functools.cache(domain_key.load_key))
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    return Site(core, kuscia, endpoint)


@pytest.mark.exhaustive
@settings(deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EXISTING, WANTED, st.booleans(), st.booleans())
def test_reaches_the_values_and_touches_nothing_foreign(
    site: Site, state: State, wanted: tuple[set[str], set[tuple[str, str]]], adopt: bool, prune: bool
) -> None:
    site.begin(state)
    before, ours = copy.deepcopy(site.objects()), site.owned()
    goal = config(site.endpoint, *wanted, adopt=adopt, prune=prune)
    summary, error = site.run(goal)
    after = site.objects()

    names = {
        ("sources", "lake"),
        *(("tables", table.id) for table in goal.tables),
        *(("grants", domain_data.grant_id(grant.table, grant.domain)) for grant in goal.grants),
    }
    for key, found in before.items():
        if key not in ours and not (adopt and key in names):
            assert after[key] == found, f"{key} is foreign"
    assert before.keys() - after.keys() <= (ours - names if prune else set())
    foreign_source = state.source == "different" and "lake" not in state.owned and not adopt
    assert (error is not None and error.id == "foreign-data-source") == foreign_source
    if foreign_source:
        assert after == before
        return
    assert error is None
    assert summary.foreign == sum(_differs(state, key) and key not in ours and not adopt for key in names)
    if not prune:
        assert summary.leftover == len((ours - names) & before.keys())
    assert site.owned() >= (after.keys() - before.keys())

    site.kuscia.asked.clear()
    again, _ = site.run(goal)
    assert site.kuscia.paths(writes=True) == []
    assert (again.created, again.updated, again.deleted) == (0, 0, 0)


def _differs(state: State, key: tuple[str, str]) -> bool:
    """Return whether an object differs from the values. Grants of a foreign table are not looked at."""
    kind, name = key
    if kind == "tables":
        return state.tables[name] == "different"
    return kind == "grants" and any(
        found == "different"
        and domain_data.grant_id(*pair) == name
        and (state.tables[pair[0]] != "different" or pair[0] in state.owned)
        for pair, found in state.grants.items()
    )
