import base64
from typing import Any

import pytest

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Admission, Register
from kuscia_hooks.core.errors import ConfigError, PermanentError, RetryableError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.steps import register
from kuscia_hooks.steps.register import State
from tests.hooks.builders import context
from tests.hooks.conftest import secret_data
from tests.hooks.fakes import FakeCore, FakeTime, api_exception
from tests.hooks.kuscia_server import Kuscia


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
                "delete Secret tok-alice (of an earlier state of the master)",
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
    with pytest.raises(PermanentError, match="allowRekey: true") as error:
        register.plan_domain("alice", by_cert, State(domain(others), None))
    assert "lost or replaced" in str(error.value)
    rekey = admission(tokenSecret=None, cert=mine, allowRekey=True)
    assert lines(register.plan_domain("alice", rekey, State(domain(others), None))) == ["update Domain alice (new key)"]


def test_rekey_by_token(key_pem: bytes) -> None:
    """A lite with a new key needs the current unused token, which only allowRekey hands out."""
    state = State(domain(pem_certificate(key_pem), used="tok-1"), {"token": b"tok-1"})
    assert lines(register.plan_domain("alice", admission(), state)) == []
    plan = register.plan_domain("alice", admission(allowRekey=True), state)
    assert lines(plan) == ["update Secret tok-alice (not the current unused token)"]
    assert plan.actions[0].payload == "tok-2"


def test_the_masters_certificate_of_the_same_key_is_the_same(key_pem: bytes, other_key_pem: bytes) -> None:
    """After a registration the master keeps a certificate that it signed itself, with odd dates."""
    key = domain_key.load_key(key_pem)
    signed = domain_key._certificate(
        domain_key.load_key(other_key_pem), "kuscia-system", "alice", key.public_key(), False
    )
    stored = signed.public_bytes(domain_key.serialization.Encoding.PEM).decode()
    plan = register.plan_domain(
        "alice", admission(tokenSecret=None, cert=pem_certificate(key_pem)), State(domain(stored), None)
    )
    assert lines(plan) == []


@pytest.mark.parametrize(("cert", "says"), [("garbage", "is no PEM certificate"), (None, "domain bob, not of alice")])
def test_a_wrong_certificate_in_the_values(key_pem: bytes, cert: str | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        register.wanted_public("alice", admission(cert=cert or pem_certificate(key_pem, "bob")))
    assert "domains.alice.cert" in str(error.value)


@pytest.fixture
def ready(core: FakeCore, key_pem: bytes) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    core.put("services", "ns", "kuscia-master")


def config(endpoint: str, **domains: dict[str, Any]) -> Register:
    return Register.model_validate(
        {
            "domainId": "kuscia-system",
            "namespace": "ns",
            "keySecret": {"name": "key", "key": "domain.key"},
            "api": {"endpoint": endpoint, "protocol": "NOTLS"},
            "ledger": "ledger",
            "labels": {"a": "b"},
            "owner": {"service": "kuscia-master"},
            "domains": domains or {"alice": {"tokenSecret": "tok-alice"}, "bob": {"tokenSecret": "tok-bob"}},
        }
    )


def attempt(endpoint: str, kube: Kube, seconds: float = 5, **domains: dict[str, Any]) -> Summary:
    given = context(kube, FakeTime().deadline(seconds))
    register.attempt(config(endpoint, **domains), given)
    return given.summary


@pytest.mark.usefixtures("ready")
def test_from_nothing(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
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
def test_again(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube)
    kuscia.asked.clear()
    core.calls.clear()
    summary = attempt(endpoint, kube)
    assert (summary.created, summary.unchanged) == (0, 4)
    assert kuscia.paths(writes=True) == []
    assert {verb for verb, _, _ in core.calls} == {"get"}


@pytest.mark.usefixtures("ready")
def test_the_masters_database_was_lost(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    """The stale Secret goes before the Domain comes, so no lite can read it in between."""
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
def test_certificate_is_sent_encoded(kube: Kube, kuscia: Kuscia, endpoint: str, other_key_pem: bytes) -> None:
    cert = pem_certificate(other_key_pem)
    attempt(endpoint, kube, alice={"cert": cert})
    assert base64.b64decode(kuscia.domains["alice"]["cert"]).decode() == cert


@pytest.mark.usefixtures("ready")
def test_an_update_keeps_what_it_does_not_change(
    kube: Kube, kuscia: Kuscia, endpoint: str, other_key_pem: bytes
) -> None:
    """domain/update replaces the whole Domain (recording "domain query after update …")."""
    kuscia.do_domain_create(
        {
            "domain_id": "alice",
            "auth_center": {"authentication_type": "Token", "token_gen_method": "UID-RSA-GEN"},
        }
    )
    attempt(endpoint, kube, alice={"cert": pem_certificate(other_key_pem)})
    (update,) = [body for path, body in kuscia.asked if path == "domain/update"]
    assert update["auth_center"]["token_gen_method"] == "UID-RSA-GEN"
    assert update["master_domain_id"] == "kuscia-system"
    assert update["role"] == ""


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
def test_a_fault_in_between(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, fault: str) -> None:
    """Whichever request fails, the Domains and their tokens come to be."""
    for position in range(8):
        kuscia.domains.clear()
        core.objects.pop(("secrets", "ns", "tok-alice"), None)
        kuscia.faults = [""] * position + [fault]
        attempt(endpoint, kube, alice={"tokenSecret": "tok-alice"})
        kuscia.faults.clear()
        token = kuscia.domains["alice"]["deploy_token_statuses"][0]["token"]
        assert core.data("secrets", "ns", "tok-alice") == secret_data(token=token)


@pytest.mark.usefixtures("ready")
def test_one_that_fails_does_not_keep_the_others_waiting(
    kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, other_key_pem: bytes
) -> None:
    kuscia.do_domain_create({"domain_id": "alice", "cert": encoded(pem_certificate(key_pem))})
    summary = Summary()
    wanted = config(endpoint, alice={"cert": pem_certificate(other_key_pem)}, bob={"tokenSecret": "tok-bob"})
    with pytest.raises(PermanentError, match="domain alice is registered with another key"):
        register.attempt(wanted, context(kube, summary=summary))
    assert (summary.created, summary.failed) == (2, 1)
    assert "bob" in kuscia.domains


@pytest.mark.usefixtures("ready")
def test_no_right_to_write_the_secret(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    def fail(verb: str, kind: str, name: str) -> None:
        if verb == "create":
            raise api_exception(403, "forbidden")

    core.fail = fail
    with pytest.raises(RetryableError, match=r"Role in namespace ns .* verbs \[create\]"):
        attempt(endpoint, kube)
    core.fail = lambda *_: None
    assert attempt(endpoint, kube).created == 2


@pytest.mark.usefixtures("ready")
def test_no_token_comes(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.token_after = 10_000
    with pytest.raises(Exception, match="the master has made no deploy token for alice yet"):
        attempt(endpoint, kube, alice={"tokenSecret": "tok-alice"})


@pytest.mark.usefixtures("ready")
def test_dry_run(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    register.attempt(config(endpoint), context(kube, dry_run=True))
    assert kuscia.paths(writes=True) == []
    assert "create Domain alice" in capsys.readouterr().out


@pytest.mark.usefixtures("ready")
def test_no_token_is_printed(kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    attempt(endpoint, kube)
    out = capsys.readouterr().out
    for domain in kuscia.domains.values():
        assert domain["deploy_token_statuses"][0]["token"] not in out
