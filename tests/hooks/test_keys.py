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
from tests.hooks.builders import context
from tests.hooks.conftest import secret_data
from tests.hooks.fakes import FakeCore, api_exception

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
    given = context(kube)
    keys.attempt(settings, given)
    return given.summary


def test_both_absent(core: FakeCore, kube: Kube) -> None:
    assert attempt(kube).created == 2
    pem = base64.b64decode(core.data("secrets", "ns", "own-key")["domain.key"])
    made = core.data("configmaps", "ns", "own-cert")["domain.crt"].encode()
    assert domain_key.certificate_public_der(made) == domain_key.public_der(domain_key.load_key(pem))
    assert domain_key.certificate_common_name(made) == "alice"
    assert core.objects["secrets", "ns", "own-key"]["metadata"]["labels"] == {"a": "b"}


def test_both_there(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))
    core.put("configmaps", "ns", "own-cert", data=certificate(key_pem))
    before = dict(core.objects)
    summary = attempt(kube)
    assert (summary.created, summary.unchanged) == (0, 2)
    assert core.objects == before
    assert {verb for verb, _, _ in core.calls} == {"get"}


def test_certificate_is_made_from_the_key(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))
    assert attempt(kube).created == 1
    made = core.data("configmaps", "ns", "own-cert")["domain.crt"].encode()
    assert domain_key.certificate_public_der(made) == domain_key.public_der(domain_key.load_key(key_pem))


def test_own_secret(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    core.put("secrets", "ns", "mine", data=secret_data(pem=key_pem))
    assert attempt(kube, OWN).created == 1
    assert ("secrets", "ns", "own-key") not in core.objects


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "has no domain.key .it has nothing"),
        (secret_data(other="x"), "has no domain.key .it has other"),
        (secret_data(**{"domain.key": ""}), "no domain key: it is empty"),
        (secret_data(**{"domain.key": "garbage"}), "no domain key: it is not a PEM"),
        (secret_data(**{"domain.key": small_key()}), "no domain key: it has 1024 bits"),
    ],
)
def test_half_an_object_is_an_error(core: FakeCore, kube: Kube, data: dict[str, str], says: str) -> None:
    core.put("secrets", "ns", "own-key", data=data)
    with pytest.raises(PermanentError, match=says) as error:
        attempt(kube)
    assert "kubectl delete secret own-key -n ns" in str(error.value)
    assert {verb for verb, _, _ in core.calls} == {"get"}


def test_own_secret_is_missing(kube: Kube) -> None:
    with pytest.raises(PermanentError, match="kubectl create secret generic mine -n ns --from-file=pem="):
        attempt(kube, OWN)


def test_own_secret_is_wrong(core: FakeCore, kube: Kube) -> None:
    core.put("secrets", "ns", "mine", data=secret_data(pem="garbage"))
    with pytest.raises(PermanentError, match="openssl genrsa"):
        attempt(kube, OWN)


def test_key_was_lost(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    """A new key beside the old certificate would be another identity under the old name."""
    core.put("configmaps", "ns", "own-cert", data=certificate(key_pem))
    with pytest.raises(PermanentError, match="Restore the Secret from your backup"):
        attempt(kube)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda own, other: certificate(other), "does not belong to the key"),
        (lambda own, other: certificate(own, "bob"), "that of domain bob, not of alice"),
        (lambda own, other: {}, "has no domain.crt"),
        (lambda own, other: {"domain.crt": "garbage"}, "is no certificate"),
    ],
)
def test_certificate_does_not_fit(
    core: FakeCore, kube: Kube, key_pem: bytes, other_key_pem: bytes, make, says: str
) -> None:
    core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))
    core.put("configmaps", "ns", "own-cert", data=make(key_pem, other_key_pem))
    with pytest.raises(PermanentError, match=says) as error:
        attempt(kube)
    assert "kubectl delete configmap own-cert -n ns" in str(error.value)


def test_another_writer_is_first(core: FakeCore, kube: Kube, key_pem: bytes) -> None:
    """Somebody makes the Secret between reading and writing: theirs is taken."""

    def race(verb: str, kind: str, name: str) -> None:
        if (verb, kind) == ("create", "secrets") and ("secrets", "ns", "own-key") not in core.objects:
            core.put("secrets", "ns", "own-key", data=secret_data(**{"domain.key": key_pem}))

    core.fail = race
    assert attempt(kube).created == 1
    made = core.data("configmaps", "ns", "own-cert")["domain.crt"].encode()
    assert domain_key.certificate_public_der(made) == domain_key.public_der(domain_key.load_key(key_pem))


def test_stopped_between_the_two(core: FakeCore, kube: Kube) -> None:
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


def test_dry_run(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    keys.attempt(SETTINGS, context(kube, dry_run=True))
    assert core.objects == {}
    assert "create Secret ns/own-key" in capsys.readouterr().out


def test_the_key_is_not_printed(core: FakeCore, kube: Kube, capsys: pytest.CaptureFixture[str]) -> None:
    attempt(kube)
    out = capsys.readouterr().out
    for line in base64.b64decode(core.data("secrets", "ns", "own-key")["domain.key"]).decode().splitlines():
        assert line not in out
