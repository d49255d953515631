import base64
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Admission
from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, PermanentError, RetryableError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.steps import register
from kuscia_hooks.steps.register import State
from tests.hooks.builders import context, register_config, run_step
from tests.hooks.conftest import secret_data
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore, api_exception
from tests.hooks.fakes.kuscia import Kuscia


def pem_certificate(key_pem: bytes, domain_id: str = "alice") -> str:
    return domain_key.ca_certificate(domain_key.load_key(key_pem), domain_id).decode()


def encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def domain(cert: str = "", unused: str = "tok-2", used: str = "") -> dict[str, Any]:
    tokens = [{"token": used, "state": "used"}] if used else []
    tokens += [{"token": unused, "state": "unused"}] if unused else []
    return {"domain_id": "alice", "cert": encoded(cert) if cert else "", "deploy_token_statuses": tokens}


def admission(**fields: Any) -> Admission:
    return Admission.model_validate({"tokenSecret": "tok-alice", **fields})


def lines(plan: Any) -> list[str]:
    return [str(action) for action in plan.actions]


@pytest.mark.parametrize(
    ("state", "actions", "unchanged"),
    [
        (State(None, None), ["create Domain alice", "create Secret tok-alice"], 0),
        (
            State(None, {"token": b"old"}),
            [
                "delete Secret tok-alice (from an earlier state of the master)",
                "create Domain alice",
                "create Secret tok-alice",
            ],
            0,
        ),
        (State(domain(), {"token": b"tok-2"}), [], 2),
        (State(domain(), None), ["create Secret tok-alice"], 1),
        (State(domain(), {"token": b"wrong"}), ["update Secret tok-alice (not the current unused token)"], 1),
        (State(domain(), {}), ["update Secret tok-alice (not the current unused token)"], 1),
        (State(domain(), {"other": b"x"}), ["update Secret tok-alice (not the current unused token)"], 1),
        (State(domain("registered", used="tok-1"), {"token": b"tok-1"}), [], 2),
        (State(domain("registered", used="tok-1"), {"token": b"garbage"}), [], 2),
        (State(domain("registered", used="tok-1"), None), ["create Secret tok-alice"], 1),
    ],
)
def test_plan_by_token(key_pem: bytes, state: State, actions: list[str], unchanged: int) -> None:
    if state.domain and state.domain["cert"]:
        state.domain["cert"] = encoded(pem_certificate(key_pem))
    plan = register.plan_domain("alice", admission(), state)
    assert lines(plan) == actions
    assert plan.unchanged == unchanged


def test_plan_by_certificate(key_pem: bytes, other_key_pem: bytes) -> None:
    mine, others = pem_certificate(key_pem), pem_certificate(other_key_pem)
    by_cert = admission(tokenSecret=None, cert=mine)
    assert lines(register.plan_domain("alice", by_cert, State(None, None))) == ["create Domain alice"]
    assert lines(register.plan_domain("alice", by_cert, State(domain(mine), None))) == []
    assert lines(register.plan_domain("alice", by_cert, State(domain(), None))) == [
        "update Domain alice (admitted by certificate)"
    ]
    with pytest.raises(PermanentError) as error:
        register.plan_domain("alice", by_cert, State(domain(others), None))
    assert error.value.id == "registered-with-different-key"
    assert "master.domains.alice.allowRekey: true" in error.value.fix
    rekey = admission(tokenSecret=None, cert=mine, allowRekey=True)
    assert lines(register.plan_domain("alice", rekey, State(domain(others), None))) == ["update Domain alice (new key)"]


@pytest.mark.parametrize("stored", ["not base64", base64.b64encode(b"not a certificate").decode()])
def test_reports_a_different_key_when_the_stored_certificate_is_unreadable(key_pem: bytes, stored: str) -> None:
    state = State({**domain(), "cert": stored}, None)
    assert lines(register.plan_domain("alice", admission(), state)) == ["create Secret tok-alice"]
    by_cert = admission(tokenSecret=None, cert=pem_certificate(key_pem))
    with pytest.raises(PermanentError) as error:
        register.plan_domain("alice", by_cert, state)
    assert error.value.id == "registered-with-different-key"
    rekey = by_cert.model_copy(update={"allow_rekey": True})
    assert lines(register.plan_domain("alice", rekey, state)) == ["update Domain alice (new key)"]


def test_rekey_by_token(key_pem: bytes) -> None:
    """A lite with a new key needs the unused token, which it gets with allowRekey only."""
    state = State(domain(pem_certificate(key_pem), used="tok-1"), {"token": b"tok-1"})
    assert lines(register.plan_domain("alice", admission(), state)) == []
    plan = register.plan_domain("alice", admission(allowRekey=True), state)
    assert lines(plan) == ["update Secret tok-alice (not the current unused token)"]
    assert plan.actions[0].payload == "tok-2"


def test_plan_compares_keys_not_certificates(key_pem: bytes, other_key_pem: bytes) -> None:
    """After a registration the master stores a certificate that it signed itself."""
    key = domain_key.load_key(key_pem)
    signed = domain_key._certificate(
        domain_key.load_key(other_key_pem), "kuscia-system", "alice", key.public_key(), False
    )
    stored = signed.public_bytes(domain_key.serialization.Encoding.PEM).decode()
    plan = register.plan_domain(
        "alice", admission(tokenSecret=None, cert=pem_certificate(key_pem)), State(domain(stored), None)
    )
    assert lines(plan) == []


@pytest.mark.parametrize("cert", ["garbage", None])
def test_rejects_an_invalid_certificate_in_the_values(key_pem: bytes, cert: str | None) -> None:
    """It is not a certificate, or one of domain bob."""
    with pytest.raises(ConfigError) as error:
        register.wanted_public("alice", admission(cert=cert or pem_certificate(key_pem, "bob")))
    (problem,) = error.value.problems
    assert (problem.id, problem.path) == ("invalid-certificate", "domains.alice.cert")
    assert cert or "bob" in problem.value


@pytest.fixture
def ready(core: FakeCore, key_pem: bytes) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    core.put("services", "ns", "kuscia-master")


def attempt(endpoint: str, kube: Kube, seconds: float = 5, **domains: dict[str, Any]) -> Summary:
    return run_step(register.attempt, register_config(endpoint, **domains), kube, FakeTime().deadline(seconds))


@pytest.mark.usefixtures("ready")
def test_creates_domains_and_tokens(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.token_after = 3
    summary = attempt(endpoint, kube)
    assert (summary.created, summary.unchanged) == (4, 0)
    for name in ("alice", "bob"):
        token = kuscia.domains[name]["deploy_token_statuses"][0]["token"]
        assert core.data("secrets", "ns", f"tok-{name}") == secret_data(token=token)
        metadata = core.objects["secrets", "ns", f"tok-{name}"]["metadata"]
        assert metadata["labels"] == {"a": "b"}
        assert metadata["ownerReferences"] == [
            {"apiVersion": "v1", "kind": "Service", "name": "kuscia-master", "uid": "uid-kuscia-master"}
        ]
    assert kuscia.domains["alice"]["auth_center"] == {
        "authentication_type": "Token",
        "token_gen_method": "RSA-GEN",
    }


@pytest.mark.usefixtures("ready")
def test_second_run_changes_nothing(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.asked.clear()
    core.calls.clear()
    summary = attempt(endpoint, kube)
    assert (summary.created, summary.unchanged) == (0, 4)
    assert kuscia.paths(writes=True) == []
    assert {verb for verb, _, _ in core.calls} == {"get"}


@pytest.mark.usefixtures("ready")
def test_replaces_tokens_after_the_database_of_the_master_was_lost(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    """The outdated Secret is deleted before the Domain is created, so no lite can read it in between."""
    attempt(endpoint, kube)
    stale = core.data("secrets", "ns", "tok-alice")
    kuscia.domains.clear()
    seen: list[bool] = []
    core.fail = lambda verb, kind, name: (
        seen.append(bool(kuscia.domains)) if (verb, name) == ("delete", "tok-alice") else None
    )
    attempt(endpoint, kube)
    assert seen == [False]
    assert core.data("secrets", "ns", "tok-alice") != stale


@pytest.mark.usefixtures("ready")
def test_sends_the_certificate_as_base64(kube: Kube, kuscia: Kuscia, endpoint: str, other_key_pem: bytes) -> None:
    cert = pem_certificate(other_key_pem)
    attempt(endpoint, kube, alice={"cert": cert})
    assert base64.b64decode(kuscia.domains["alice"]["cert"]).decode() == cert


@pytest.mark.usefixtures("ready")
def test_update_keeps_other_fields(kube: Kube, kuscia: Kuscia, endpoint: str, other_key_pem: bytes) -> None:
    """domain/update replaces the whole Domain (recording "domain query after update …")."""
    kuscia.do_domain_create(
        {
            "domain_id": "alice",
            "auth_center": {"authentication_type": "Token", "token_gen_method": "UID-RSA-GEN"},
        }
    )
    attempt(endpoint, kube, alice={"cert": pem_certificate(other_key_pem)})
    (update,) = kuscia.bodies("domain/update")
    assert update["auth_center"]["token_gen_method"] == "UID-RSA-GEN"
    assert update["master_domain_id"] == "kuscia-system"
    assert update["role"] == ""


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
def test_recovers_from_a_failed_request(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, fault: str) -> None:
    """Domains and tokens are created whichever request fails."""
    for position in range(8):
        kuscia.domains.clear()
        core.objects.pop(("secrets", "ns", "tok-alice"), None)
        kuscia.faults = [""] * position + [fault]
        attempt(endpoint, kube, alice={"tokenSecret": "tok-alice"})
        kuscia.faults.clear()
        token = kuscia.domains["alice"]["deploy_token_statuses"][0]["token"]
        assert core.data("secrets", "ns", "tok-alice") == secret_data(token=token)


@pytest.mark.usefixtures("ready")
def test_registers_other_domains_if_one_fails(
    kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, other_key_pem: bytes
) -> None:
    kuscia.do_domain_create({"domain_id": "alice", "cert": encoded(pem_certificate(key_pem))})
    summary = Summary()
    wanted = register_config(endpoint, alice={"cert": pem_certificate(other_key_pem)}, bob={"tokenSecret": "tok-bob"})
    with pytest.raises(PermanentError, match="domain alice ") as error:
        register.attempt(wanted, context(kube, summary=summary))
    assert error.value.id == "registered-with-different-key"
    assert (summary.created, summary.failed) == (2, 1)
    assert "bob" in kuscia.domains


@pytest.mark.usefixtures("ready")
def test_retries_when_permission_is_denied(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    def fail(verb: str, kind: str, name: str) -> None:
        if verb == "create":
            raise api_exception(403, "forbidden")

    core.fail = fail
    with pytest.raises(RetryableError, match="secrets"):
        attempt(endpoint, kube)
    core.fail = lambda *_: None
    assert attempt(endpoint, kube).created == 2


@pytest.mark.usefixtures("ready")
def test_reports_a_pending_token_at_the_deadline(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.token_after = 10_000
    with pytest.raises(DeadlineExceeded, match="alice") as error:
        attempt(endpoint, kube, alice={"tokenSecret": "tok-alice"})
    assert error.value.id == "deploy-token-pending"


@pytest.mark.usefixtures("ready")
def test_dry_run_changes_nothing(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    register.attempt(register_config(endpoint), context(kube, dry_run=True))
    assert kuscia.paths(writes=True) == []
    assert "create Domain alice" in capsys.readouterr().out


@pytest.mark.usefixtures("ready")
def test_does_not_print_tokens(kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    attempt(endpoint, kube)
    out = capsys.readouterr().out
    for domain in kuscia.domains.values():
        assert domain["deploy_token_statuses"][0]["token"] not in out
