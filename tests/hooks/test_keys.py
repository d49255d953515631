import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.core.plan import Summary
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.steps import keys
from kuscia_hooks.steps.keys import Settings
from tests.hooks.builders import context, run_step, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore, api_exception

SETTINGS = Settings("alice", "ns", "own-key", "own-cert", labels={"a": "b"})
OWN = Settings("alice", "ns", "own-key", "own-cert", existing_secret="mine", existing_secret_key="pem")


def certificate(pem: bytes, domain_id: str = "alice") -> dict[str, str]:
    return {"domain.crt": domain_key.ca_certificate(domain_key.load_key(pem), domain_id).decode()}


def small_key() -> bytes:
    return rsa.generate_private_key(65537, 1024).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def attempt(kube: Kube, settings: Settings = SETTINGS) -> Summary:
    return run_step(keys.attempt, settings, kube)


def test_creates_key_and_certificate(core: FakeCore, kube: Kube) -> None:
    assert attempt(kube).created == 2
    pem = base64.b64decode(core.data("secrets", "ns", "own-key")["domain.key"])
    made = core.data("configmaps", "ns", "own-cert")["domain.crt"].encode()
    assert domain_key.certificate_public_der(made) == domain_key.public_der(domain_key.load_key(pem))
    assert domain_key.certificate_common_name(made) == "alice"
    assert core.objects["secrets", "ns", "own-key"]["metadata"]["labels"] == {"a": "b"}


def test_changes_nothing_if_both_exist(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))
    core.put("configmaps", "ns", "own-cert", data=certificate(key_pem))
    before = dict(core.objects)
    summary = attempt(kube)
    assert (summary.created, summary.unchanged) == (0, 2)
    assert core.objects == before
    assert {verb for verb, _, _ in core.calls} == {"get"}


def test_creates_the_certificate_of_an_existing_key(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))
    assert attempt(kube).created == 1
    made = core.data("configmaps", "ns", "own-cert")["domain.crt"].encode()
    assert domain_key.certificate_public_der(made) == domain_key.public_der(domain_key.load_key(key_pem))


def test_uses_an_existing_secret(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    core.put("secrets", "ns", "mine", data=secret_data(pem=key_pem))
    assert attempt(kube, OWN).created == 1
    assert ("secrets", "ns", "own-key") not in core.objects


@pytest.mark.parametrize(
    ("data", "error_id"),
    [
        ({}, "domain-key-missing"),
        (secret_data(other="x"), "domain-key-missing"),
        (secret_data(**{"domain.key": ""}), "domain-key-invalid"),
        (secret_data(**{"domain.key": "garbage"}), "domain-key-invalid"),
        (secret_data(**{"domain.key": small_key()}), "domain-key-invalid"),
    ],
)
def test_rejects_an_unusable_key(core: FakeCore, kube: Kube, data: dict[str, str], error_id: str) -> None:
    core.put("secrets", "ns", "own-key", data=data)
    with pytest.raises(PermanentError, match="Secret ns/own-key") as error:
        attempt(kube)
    assert error.value.id == error_id
    assert "kubectl delete secret/own-key configmap/own-cert -n ns" in error.value.fix
    assert {verb for verb, _, _ in core.calls} == {"get"}


def test_waits_for_an_existing_secret(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    with pytest.raises(RetryableError, match="ns/mine") as error:
        attempt(kube, OWN)
    assert error.value.id == "existing-secret-not-found"
    assert error.value.fix.startswith("kubectl create secret generic mine -n ns --from-file=pem=")
    core.put("secrets", "ns", "mine", data=secret_data(pem=key_pem))
    attempt(kube, OWN)
    assert ("configmaps", "ns", "own-cert") in core.objects


def test_rejects_an_unusable_existing_secret(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "mine", data=secret_data(pem="garbage"))
    with fails("domain-key-invalid") as error:
        attempt(kube, OWN)
    assert "openssl genrsa" in error.value.fix
    assert "kubectl delete" not in error.value.fix


def test_reports_a_lost_key(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    """A new key next to the old certificate would be a new identity under the old name."""
    core.put("configmaps", "ns", "own-cert", data=certificate(key_pem))
    with fails("domain-key-lost") as error:
        attempt(kube)
    assert "kubectl delete configmap/own-cert -n ns" in error.value.fix
    assert ("secrets", "ns", "own-key") not in core.objects


@pytest.mark.parametrize(
    ("make", "error_id"),
    [
        (lambda own, other: certificate(other), "domain-certificate-mismatch"),
        (lambda own, other: certificate(own, "bob"), "domain-id-changed"),
        (lambda own, other: {}, "domain-certificate-invalid"),
        (lambda own, other: {"domain.crt": "garbage"}, "domain-certificate-invalid"),
    ],
)
def test_rejects_a_certificate_that_does_not_match_the_key(
    core: FakeCore, kube: Kube, key_pem: bytes, other_key_pem: bytes, make, error_id: str
) -> None:
    core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))
    core.put("configmaps", "ns", "own-cert", data=make(key_pem, other_key_pem))
    with pytest.raises(PermanentError, match="ConfigMap ns/own-cert") as error:
        attempt(kube)
    assert error.value.id == error_id
    assert "kubectl delete configmap/own-cert -n ns" in error.value.fix


def test_uses_a_secret_that_is_created_concurrently(core: FakeCore, kube: Kube, key_pem: bytes) -> None:

    def race(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "secrets") and ("secrets", "ns", "own-key") not in core.objects:
            core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))

    core.fail = race
    assert attempt(kube).created == 1
    made = core.data("configmaps", "ns", "own-cert")["domain.crt"].encode()
    assert domain_key.certificate_public_der(made) == domain_key.public_der(domain_key.load_key(key_pem))


def test_continues_after_a_failure_between_the_two_objects(core: FakeCore, kube: Kube) -> None:
    def fail(verb: str, kind: str, _: str) -> None:
        if (verb, kind) == ("create", "configmaps"):
            raise api_exception(500, "sorry")

    core.fail = fail
    with pytest.raises(RetryableError):
        attempt(kube)
    before = core.data("secrets", "ns", "own-key")
    core.fail = lambda *_: None
    assert attempt(kube).created == 1
    assert core.data("secrets", "ns", "own-key") == before


def test_dry_run_creates_nothing(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    keys.attempt(SETTINGS, context(kube, dry_run=True))
    assert core.objects == {}
    assert "create Secret ns/own-key" in capsys.readouterr().out


def test_does_not_print_the_key(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    attempt(kube)
    out = capsys.readouterr().out
    for line in base64.b64decode(core.data("secrets", "ns", "own-key")["domain.key"]).decode().splitlines():
        assert line not in out


def test_commands_in_fixes_are_quoted(kube: Kube) -> None:
    with pytest.raises(RetryableError) as error:
        attempt(kube, Settings("alice", "ns; reboot", "k", "c", existing_secret="a b"))
    assert "generic 'a b' -n 'ns; reboot' " in error.value.fix


def test_deadline_ends_conflicts_that_repeat(core: FakeCore, kube: Kube, fake_time: FakeTime) -> None:
    """A ResourceQuota that changes all the time is a conflict too; no object ever appears."""

    def fail(verb: str, kind: str, _: str) -> None:
        if verb == "create":
            raise api_exception(409, "Operation cannot be fulfilled on resourcequotas")

    core.fail = fail
    with fails("already-exists"):
        run_step(keys.attempt, SETTINGS, kube, fake_time.deadline(1))
    # Each has a new key.
    assert 2 <= len([verb for verb, _, _ in core.calls if verb == "create"]) <= 10
