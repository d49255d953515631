"""Properties of `register` for any values, and any domains, Secrets and ledger that it finds."""

import copy
import functools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import PermanentError
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.domains import AUTH_CENTER
from kuscia_hooks.steps import register
from tests.hooks.builders import OURS, certificate, encoded, register_config, run_step, secret_data
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia

NAMES = ("alice", "bob", "carol")
FOREIGN = {"theirs": "x"}


def for_each_name(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict.fromkeys(NAMES, values))


WANTED = st.dictionaries(
    st.sampled_from(NAMES),
    st.fixed_dictionaries({"token": st.booleans(), "cert": st.booleans(), "allowRekey": st.booleans()}),
)
DOMAINS = for_each_name(st.sampled_from(["absent", "new", "mine", "other"]))
SECRETS = for_each_name(st.sampled_from(["absent", "current", "old", "foreign"]))
LEDGER = st.sets(st.sampled_from(NAMES))


class Site:
    """A master and a cluster in any state."""

    def __init__(self, core: FakeCore, kuscia: Kuscia, endpoint: str, keys: dict[str, bytes]) -> None:
        self.core, self.kuscia, self.endpoint, self.keys = core, kuscia, endpoint, keys

    def begin(self, domains: dict[str, str], secrets: dict[str, str], ledger: set[str]) -> None:
        core, kuscia = self.core, self.kuscia
        core.objects.clear()
        core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": self.keys["mine"]}))
        core.put("services", "ns", "kuscia-master")
        kuscia.domains.clear()
        for name, state in domains.items():
            if state != "absent":
                cert = "" if state == "new" else encoded(certificate(self.keys[state], name))
                kuscia.do_domain_create({"domain_id": name, "cert": cert, "auth_center": AUTH_CENTER})
        for name, state in secrets.items():
            if state != "absent":
                current = state == "current" and name in kuscia.domains
                token = self.token(name) if current else "old"
                core.put("secrets", "ns", f"tok-{name}", data=secret_data(token=token))
                labels = FOREIGN if state == "foreign" else OURS
                core.objects["secrets", "ns", f"tok-{name}"]["metadata"]["labels"] = labels
        tokens = {name: {f"tok-{name}": "0"} for name in ledger if secrets[name] != "foreign"}
        data = {"domains": json.dumps(dict.fromkeys(ledger, "0")), "tokens": json.dumps(tokens)}
        core.put("configmaps", "ns", "ledger", data=data)

    def token(self, name: str) -> str:
        return str(self.kuscia.domains[name]["deploy_token_statuses"][0]["token"])

    def run(self, wanted: dict[str, dict[str, bool]], adopt: bool, prune: bool) -> Any:
        """Run one attempt, and return its summary and its error, if any."""
        fields = {
            name: {
                "tokenSecret": f"tok-{name}" if admission["token"] else None,
                "cert": certificate(self.keys["mine"], name) if admission["cert"] else None,
                "allowRekey": admission["allowRekey"],
            }
            for name, admission in wanted.items()
        }
        built = register_config(self.endpoint, **(fields or {"alice": {}}))
        listed = {name: built.domains[name] for name in fields}
        update = {"domains": listed, "adopt": adopt, "prune": prune}
        try:
            return run_step(register.attempt, built.model_copy(update=update), Kube(self.core)), None
        except PermanentError as error:
            return None, error


@pytest.fixture
def site(
    core: FakeCore,
    kuscia: Kuscia,
    endpoint: str,
    key_pem: bytes,
    other_key_pem: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    # To check an RSA key takes longer than an attempt.
    monkeypatch.setattr(domain_key, "load_key", functools.cache(domain_key.load_key))
    return Site(core, kuscia, endpoint, {"mine": key_pem, "other": other_key_pem})


@pytest.mark.exhaustive
@settings(deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WANTED, DOMAINS, SECRETS, LEDGER, st.booleans(), st.booleans())
def test_reaches_the_values_and_touches_nothing_foreign(
    site: Site,
    wanted: dict[str, dict[str, bool]],
    domains: dict[str, str],
    secrets: dict[str, str],
    ledger: set[str],
    adopt: bool,
    prune: bool,
) -> None:
    site.begin(domains, secrets, ledger)
    before = copy.deepcopy((site.kuscia.domains, site.core.objects))
    _, error = site.run(wanted, adopt, prune)

    conflicts = {
        name
        for name, admission in wanted.items()
        if domains[name] == "other" and admission["cert"] and not admission["allowRekey"]
    }
    assert (error is not None) == bool(conflicts)
    for name in NAMES:
        untouched = name in conflicts or (name not in wanted and not (prune and name in ledger))
        foreign_domain = domains[name] != "absent" and name not in ledger and not adopt
        if untouched or foreign_domain:
            assert site.kuscia.domains.get(name) == before[0].get(name)
        elif name not in wanted:
            assert name not in site.kuscia.domains
        elif wanted[name]["cert"]:
            stored = site.kuscia.domains[name]["cert"]
            assert stored == encoded(certificate(site.keys["mine"], name))
        foreign_secret = secrets[name] == "foreign" and not (adopt and name in wanted)
        if untouched or foreign_secret:
            assert site.core.data("secrets", "ns", f"tok-{name}") == data_before(before, name)
        elif name in wanted and wanted[name]["token"] and not site.kuscia.domains[name]["cert"]:
            assert site.core.data("secrets", "ns", f"tok-{name}") == secret_data(token=site.token(name))

    site.kuscia.asked.clear()
    site.core.calls.clear()
    _, again = site.run(wanted, adopt, prune)
    assert (again is None) == (error is None)
    assert site.kuscia.paths(writes=True) == []
    assert {verb for verb, kind, _ in site.core.calls if kind != "configmaps"} <= {"get"}


def data_before(before: Any, name: str) -> Any:
    found = before[1].get(("secrets", "ns", f"tok-{name}"))
    return None if found is None else found["data"]
