"""`register` on the fakes of KusciaAPI and the API server. The identity matrix is the table CELLS."""

import base64
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import waiting
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, RetryableError, StepError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.batches import BATCH
from kuscia_hooks.kuscia.domains import AUTH_CENTER
from kuscia_hooks.steps import Context, register
from tests.hooks.builders import OURS, certificate, context, encoded, register_config, run_step, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.certificates import certificate_of
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore, api_exception
from tests.hooks.fakes.kuscia import Kuscia


@dataclass(frozen=True)
class Cell:
    """One state of a domain, and what `register` does about it.

    Args:
        values: the entry of alice in the values; `cert` names a key, mine or other.
        domain: the Domain: absent, new (no key), or registered with a key: mine or other.
        secret: the Secret: absent, current (the unused token), outdated; `foreign-…` without labels of the release.
        domain_ours: whether the ledger has the Domain.
        does: the changes, as verb and kind.
        foreign: number of objects that are reported as foreign.
        error: ID of the error.
    """

    values: dict[str, Any]
    domain: str
    secret: str
    does: tuple[str, ...] = ()
    domain_ours: bool = True
    foreign: int = 0
    error: str = ""
    adopt: bool = False

    def __str__(self) -> str:
        values = "+".join(f"{name}:{value}" for name, value in self.values.items())
        flags = ("" if self.domain_ours else " foreign-domain") + (" adopt" if self.adopt else "")
        return f"{values or 'token'} domain:{self.domain} secret:{self.secret}{flags}"


REKEY = {"allowRekey": True}
MINE, OTHER = {"cert": "mine"}, {"cert": "other"}
CREATE_SECRET, UPDATE_SECRET, DELETE_SECRET = "create Secret", "update Secret", "delete Secret"
CREATE_DOMAIN, UPDATE_DOMAIN = "create Domain", "update Domain"
CONFLICT = "registered-with-different-key"
CELLS = [
    # Admitted by token: without a key, the Secret must have the unused token.
    Cell({}, "absent", "absent", (CREATE_DOMAIN, CREATE_SECRET)),
    Cell({}, "absent", "outdated", (DELETE_SECRET, CREATE_DOMAIN, CREATE_SECRET)),
    Cell({}, "absent", "foreign-outdated", (CREATE_DOMAIN,), foreign=1),
    Cell({}, "absent", "foreign-outdated", (DELETE_SECRET, CREATE_DOMAIN, CREATE_SECRET), adopt=True),
    Cell({}, "new", "absent", (CREATE_SECRET,)),
    Cell({}, "new", "current"),
    Cell({}, "new", "outdated", (UPDATE_SECRET,)),
    Cell({}, "new", "empty", (UPDATE_SECRET,)),
    Cell({}, "new", "foreign-current"),
    Cell({}, "new", "foreign-outdated", foreign=1),
    Cell({}, "new", "foreign-outdated", (UPDATE_SECRET,), adopt=True),
    Cell({}, "new", "absent", (CREATE_SECRET,), domain_ours=False),
    # A registered lite does not need its token again.
    Cell({}, "mine", "absent", (CREATE_SECRET,)),
    Cell({}, "mine", "current"),
    Cell({}, "mine", "outdated"),
    Cell({}, "mine", "foreign-outdated"),
    # Unless it comes with a new key.
    Cell(REKEY, "mine", "absent", (CREATE_SECRET,)),
    Cell(REKEY, "mine", "current"),
    Cell(REKEY, "mine", "outdated", (UPDATE_SECRET,)),
    Cell(REKEY, "mine", "foreign-outdated", foreign=1),
    Cell(REKEY, "absent", "outdated", (DELETE_SECRET, CREATE_DOMAIN, CREATE_SECRET)),
    # Admitted by certificate.
    Cell(MINE, "absent", "none", (CREATE_DOMAIN,)),
    Cell(MINE, "new", "none", (UPDATE_DOMAIN,)),
    Cell(MINE, "new", "none", domain_ours=False, foreign=1),
    Cell(MINE, "new", "none", (UPDATE_DOMAIN,), domain_ours=False, adopt=True),
    Cell(MINE, "mine", "none"),
    Cell(MINE, "mine", "none", domain_ours=False),
    Cell(MINE, "other", "none", error=CONFLICT),
    Cell(MINE, "other", "none", domain_ours=False, error=CONFLICT),
    Cell(MINE, "other", "none", domain_ours=False, adopt=True, error=CONFLICT),
    Cell(MINE | REKEY, "other", "none", (UPDATE_DOMAIN,)),
    Cell(MINE | REKEY, "other", "none", domain_ours=False, foreign=1),
    Cell(MINE | REKEY, "other", "none", (UPDATE_DOMAIN,), domain_ours=False, adopt=True),
    Cell(MINE | REKEY, "mine", "none"),
    Cell(MINE, "garbage", "none", error=CONFLICT),
    Cell(MINE | REKEY, "garbage", "none", (UPDATE_DOMAIN,)),
    # By certificate, with a token for a reader as well.
    Cell(MINE, "absent", "absent", (CREATE_DOMAIN, CREATE_SECRET)),
    Cell(MINE, "absent", "outdated", (DELETE_SECRET, CREATE_DOMAIN, CREATE_SECRET)),
    Cell(MINE, "new", "current", (UPDATE_DOMAIN,)),
    Cell(MINE, "mine", "outdated"),
    Cell(MINE, "mine", "absent", (CREATE_SECRET,)),
    Cell(MINE, "other", "outdated", error=CONFLICT),
    Cell(MINE | REKEY, "other", "outdated", (UPDATE_DOMAIN, UPDATE_SECRET)),
]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_identity_matrix(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, other_key_pem: bytes, cell: Cell
) -> None:
    certs = {"mine": certificate(key_pem), "other": certificate(other_key_pem)}
    stored = {"new": "", "garbage": "not base64", **{name: encoded(pem) for name, pem in certs.items()}}
    if cell.domain != "absent":
        kuscia.do_domain_create({"domain_id": "alice", "cert": stored[cell.domain], "auth_center": AUTH_CENTER})
    if cell.domain_ours:
        core.put("configmaps", "ns", "ledger", data={"domains": '{"alice": "0"}'})
    if cell.secret not in ("none", "absent"):
        current = kuscia.domains["alice"]["deploy_token_statuses"][0]["token"] if cell.domain != "absent" else "old"
        kind = cell.secret.removeprefix("foreign-")
        data = {} if kind == "empty" else secret_data(token=current if kind == "current" else "old")
        core.put("secrets", "ns", "tok", data=data)
        if not cell.secret.startswith("foreign-"):
            core.objects["secrets", "ns", "tok"]["metadata"]["labels"] = OURS
    before = copy.deepcopy((kuscia.domains, core.objects))
    fields = {**cell.values, "tokenSecret": None if cell.secret == "none" else "tok"}
    if "cert" in fields:
        fields["cert"] = certs[fields["cert"]]
    settings = register_config(endpoint, alice=fields).model_copy(update={"adopt": cell.adopt})
    summary = Summary()

    if cell.error:
        with fails(cell.error):
            register.attempt(settings, context(kube, summary=summary))
        assert (kuscia.domains, core.objects) == before
    else:
        register.attempt(settings, context(kube, summary=summary))
    assert changes(core, kuscia) == list(cell.does)
    assert summary.foreign == cell.foreign

    if cell.error:
        return
    if "cert" in fields and not cell.foreign:
        assert base64.b64decode(kuscia.domains["alice"]["cert"]).decode() == fields["cert"]
    if not cell.foreign and any("Secret" in change for change in cell.does):
        token = kuscia.domains["alice"]["deploy_token_statuses"][0]["token"]
        assert core.data("secrets", "ns", "tok") == secret_data(token=token)
        assert core.objects["secrets", "ns", "tok"]["metadata"]["labels"] == OURS
    if cell.secret.startswith("foreign-") and not cell.adopt:
        assert "labels" not in core.objects["secrets", "ns", "tok"]["metadata"]
    core.calls.clear()
    kuscia.asked.clear()
    again = run_step(register.attempt, settings, kube)
    assert changes(core, kuscia) == []
    assert (again.foreign, again.created + again.updated + again.deleted) == (cell.foreign, 0)


def changes(core: FakeCore, kuscia: Kuscia) -> list[str]:
    """Return the changes of Secrets and Domains, in an order that is possible: deletions of Secrets come first."""
    verbs = {"patch": "update"}
    secrets = [f"{verbs.get(verb, verb)} Secret" for verb, kind, _ in core.calls if kind == "secrets" and verb != "get"]
    domains = [f"{path.split('/')[1]} Domain" for path in kuscia.paths(writes=True)]
    first = [change for change in secrets if change == DELETE_SECRET]
    return [*first, *domains, *(change for change in secrets if change != DELETE_SECRET)]


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
    cert = certificate(other_key_pem)
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
    settings = register_config(endpoint, alice={"cert": certificate(other_key_pem)})
    run_step(register.attempt, settings.model_copy(update={"adopt": True}), kube)
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


def run_in_mode(mode: str, settings: Register, given: Context) -> tuple[int, list[StepError]]:
    """Run the step in a mode; return its exit code and the error of each failed attempt."""
    errors: list[StepError] = []

    def once() -> Any:
        try:
            return register.attempt(settings, given)
        except StepError as error:
            errors.append(error)
            raise

    return waiting.run("register", mode, given.deadline, once), errors


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("mode", ["hook", "job"])
def test_one_bad_entry_fails_only_its_domain(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, mode: str
) -> None:
    """The step ends with exit code 2 after all other domains are done, and names each bad entry."""
    pem = certificate(key_pem)
    bad = {
        "other-name": pem,
        "garbage": "garbage",
        "elliptic": certificate_of(ec.generate_private_key(ec.SECP256R1()), "elliptic"),
        "private": certificate(key_pem, "private") + key_pem.decode(),
    }
    values = {name: {"cert": cert} for name, cert in bad.items()}
    settings = register_config(
        endpoint, **values, bob={"tokenSecret": "tok-bob"}, carol={"cert": certificate(key_pem, "carol")}
    )
    given = context(kube)
    code, errors = run_in_mode(mode, settings, given)
    assert code == 2
    (error,) = errors
    assert isinstance(error, ConfigError)
    assert {(problem.id, problem.path) for problem in error.problems} == {
        ("invalid-certificate", f"domains.{name}.cert") for name in bad
    }
    assert set(kuscia.domains) == {"bob", "carol"}
    assert core.data("secrets", "ns", "tok-bob") is not None
    assert (given.summary.created, given.summary.failed) == (3, 4)


@pytest.mark.usefixtures("ready")
def test_a_conflict_of_one_domain_waits_for_the_others(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, other_key_pem: bytes
) -> None:
    """As a hook too, it ends with exit code 2 only when all that can be done is done."""
    kuscia.do_domain_create({"domain_id": "alice", "cert": encoded(certificate(key_pem))})
    settings = register_config(endpoint, alice={"cert": certificate(other_key_pem)}, bob={"tokenSecret": "tok-bob"})
    refusals = 3

    def refuse(verb: str, kind: str, name: str) -> None:
        nonlocal refusals
        if (verb, kind) == ("create", "secrets") and refusals:
            refusals -= 1
            raise api_exception(403, "forbidden")

    core.fail = refuse
    given = context(kube, FakeTime().deadline(60))
    code, errors = run_in_mode("hook", settings, given)
    assert code == 2
    assert errors[-1].id == CONFLICT
    assert [error.retryable for error in errors] == [True] * 3 + [False]
    assert core.data("secrets", "ns", "tok-bob") is not None
    assert (given.summary.created, given.summary.failed) == (2, 1)


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("rejected", ["alice", "create", "bo"])
def test_names_the_domain_that_the_master_rejects(kube: Kube, kuscia: Kuscia, endpoint: str, rejected: str) -> None:
    """Its ID can be a part of another ID, or a word of the message."""

    def create(body: dict[str, Any]) -> Any:
        return (11300, "not like bob", None) if body["domain_id"] == rejected else kuscia.do_domain_create(body)

    kuscia.replies["domain/create"] = create
    with fails("kusciaapi-rejected") as error:
        attempt(endpoint, kube, **{name: {"tokenSecret": f"tok-{name}"} for name in (rejected, "bob")})
    assert f"domain {rejected}:" in error.value.message
    assert set(kuscia.domains) == {"bob"}


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    "cert", [lambda _: encoded(certificate_of(ec.generate_private_key(ec.SECP256R1()))), lambda pem: pem]
)
def test_an_unreadable_stored_certificate_is_a_conflict(
    kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, cert: Callable[[str], str]
) -> None:
    kuscia.do_domain_create({"domain_id": "alice", "cert": cert(certificate(key_pem))})
    with fails(CONFLICT):
        attempt(endpoint, kube, alice={"cert": certificate(key_pem)})
    assert attempt(endpoint, kube, alice={"tokenSecret": "tok"}).created == 1


@pytest.mark.usefixtures("ready")
def test_compares_keys_not_certificates(
    kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, other_key_pem: bytes
) -> None:
    """After a registration the master stores a certificate that it signed itself."""
    key = domain_key.load_key(key_pem)
    signed = domain_key._certificate(
        domain_key.load_key(other_key_pem), "kuscia-system", "alice", key.public_key(), False
    )
    kuscia.do_domain_create({"domain_id": "alice", "cert": encoded(domain_key.certificate_pem(signed).decode())})
    assert attempt(endpoint, kube, alice={"cert": certificate(key_pem)}).unchanged == 1


@pytest.mark.usefixtures("ready")
def test_sends_one_certificate_without_the_text_around_it(
    kube: Kube, kuscia: Kuscia, endpoint: str, key_pem: bytes, other_key_pem: bytes
) -> None:
    pem = certificate(key_pem)
    text = "subject=alice\r\n" + pem.replace("\n", "\r\n") + certificate(other_key_pem, "issuer")
    attempt(endpoint, kube, alice={"cert": text})
    assert base64.b64decode(kuscia.domains["alice"]["cert"]).decode() == pem


def many(count: int) -> dict[str, dict[str, Any]]:
    return {f"d{number:03d}": {"tokenSecret": f"tok-d{number:03d}"} for number in range(count)}


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    ("count", "batches"), [(3, 1), (BATCH, 1), pytest.param(2 * BATCH + 30, 3, marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("registered", [False, True])
def test_a_second_run_queries_in_batches(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, count: int, batches: int, registered: bool
) -> None:
    """The requests do not depend on the number of domains, except for the batches and one query as a sample."""
    attempt(endpoint, kube, **many(count))
    if registered:
        for domain in kuscia.domains.values():
            domain.update(cert="cert", deploy_token_statuses=[{"token": "next", "state": "unused"}])
        attempt(endpoint, kube, **many(count))
    kuscia.asked.clear()
    core.calls.clear()
    summary = attempt(endpoint, kube, **many(count))
    assert (summary.created, summary.unchanged) == (0, 2 * count)
    assert kuscia.paths() == ["healthZ", *["domain/batchQuery"] * batches, *["domain/query"] * (not registered)]
    # The Role grants access by name, which excludes a list.
    assert {verb for verb, _, _ in core.calls} == {"get"}
    assert len([kind for _, kind, _ in core.calls if kind == "configmaps"]) == 1


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(("existing", "queries"), [(0, 130 + 3), (130, 3), (129, 30 + 3)])
def test_a_first_run_queries_each_domain_at_most_once(
    kube: Kube, kuscia: Kuscia, endpoint: str, existing: int, queries: int
) -> None:
    for name in list(many(130))[:existing]:
        kuscia.do_domain_create({"domain_id": name, "cert": "cert"})
    settings = register_config(endpoint, **{name: {} for name in many(130)})
    assert run_step(register.attempt, settings, kube).created == 130 - existing
    assert len([path for path in kuscia.paths() if path.endswith(("query", "batchQuery"))]) == queries


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(
    "lost", [127, *(pytest.param(lost, marks=pytest.mark.exhaustive) for lost in (0, BATCH - 1, BATCH))]
)
def test_recreates_a_lost_domain_wherever_it_is(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, lost: int
) -> None:
    attempt(endpoint, kube, **many(128))
    name = f"d{lost:03d}"
    old = kuscia.domains.pop(name)["deploy_token_statuses"][0]["token"]
    kuscia.asked.clear()
    summary = attempt(endpoint, kube, **many(128))
    assert (summary.created, summary.deleted, summary.unchanged) == (2, 1, 2 * 128 - 2)
    assert len(kuscia.paths()) < 25
    token = kuscia.domains[name]["deploy_token_statuses"][0]["token"]
    assert token != old
    assert core.data("secrets", "ns", f"tok-{name}") == secret_data(token=token)


@pytest.mark.usefixtures("ready")
def test_recreates_a_lost_secret_wherever_it_is(core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube, **many(128))
    del core.objects["secrets", "ns", "tok-d101"]
    assert attempt(endpoint, kube, **many(128)).created == 1
    token = kuscia.domains["d101"]["deploy_token_statuses"][0]["token"]
    assert core.data("secrets", "ns", "tok-d101") == secret_data(token=token)


def replaced(kuscia: Kuscia, *names: str) -> None:
    """Delete and create domains, as another client may, so that they have new tokens."""
    for name in names:
        del kuscia.domains[name]
        kuscia.do_domain_create({"domain_id": name})


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("verify", [False, True])
def test_a_sample_reveals_a_different_state_of_the_master(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str, verify: bool
) -> None:
    attempt(endpoint, kube, **many(9))
    replaced(kuscia, *many(9))
    assert run_step(register.attempt, register_config(endpoint, **many(9)), kube, verify=verify).updated == 9
    for name in many(9):
        token = kuscia.domains[name]["deploy_token_statuses"][0]["token"]
        assert core.data("secrets", "ns", f"tok-{name}") == secret_data(token=token)


@pytest.mark.usefixtures("ready")
def test_verify_reads_every_token(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    attempt(endpoint, kube, **many(9))
    replaced(kuscia, "d007")
    settings = register_config(endpoint, **many(9))
    assert run_step(register.attempt, settings, kube).updated == 0
    assert run_step(register.attempt, settings, kube, verify=True).updated == 1


@pytest.mark.usefixtures("ready")
def test_reads_the_token_of_a_domain_that_was_registered_at_the_last_run(
    kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    """What the ledger says of a Secret whose token is spent says nothing about the unused token."""
    attempt(endpoint, kube, **many(2))
    for domain in kuscia.domains.values():
        domain["cert"] = "cert"
    attempt(endpoint, kube, **many(2))
    replaced(kuscia, "d001")
    assert attempt(endpoint, kube, **many(2)).updated == 1


@pytest.mark.usefixtures("ready")
def test_waits_for_all_tokens_together(kube: Kube, kuscia: Kuscia, endpoint: str) -> None:
    kuscia.token_after = 60
    fake = FakeTime()
    summary = run_step(register.attempt, register_config(endpoint, **many(20)), kube, fake.deadline(30))
    assert summary.created == 40
    assert len(fake.naps) == 3


@pytest.mark.usefixtures("ready")
def test_a_domain_without_a_token_does_not_block_the_others(
    core: FakeCore, kube: Kube, kuscia: Kuscia, endpoint: str
) -> None:
    def query(body: dict[str, Any]) -> Any:
        code, message, data = kuscia.do_domain_query(body)
        if data is not None and body["domain_id"] == "d001":
            data["deploy_token_statuses"] = []
        return code, message, data

    kuscia.replies["domain/query"] = query
    settings = register_config(endpoint, **many(3))
    summary = Summary()
    with pytest.raises(DeadlineExceeded, match="d001") as error:
        register.attempt(settings, context(kube, summary=summary))
    assert error.value.id == "deploy-token-pending"
    assert (summary.created, summary.failed) == (5, 1)
    assert core.data("secrets", "ns", "tok-d002") is not None


@pytest.mark.usefixtures("ready")
def test_retries_when_permission_is_denied(core: FakeCore, kube: Kube, endpoint: str) -> None:
    def fail(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "secrets"):
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
def test_dry_run_changes_nothing(kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    register.attempt(register_config(endpoint), context(kube, dry_run=True))
    assert kuscia.paths(writes=True) == []
    assert "create Domain alice" in capsys.readouterr().out


@pytest.mark.usefixtures("ready")
def test_does_not_print_tokens(kube: Kube, kuscia: Kuscia, endpoint: str, capsys: pytest.CaptureFixture[str]) -> None:
    attempt(endpoint, kube)
    out = capsys.readouterr().out
    for domain in kuscia.domains.values():
        assert domain["deploy_token_statuses"][0]["token"] not in out
