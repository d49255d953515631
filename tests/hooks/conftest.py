import functools
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import log, redaction, termination, waiting
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.kuscia import api, domain_key, gateway
from kuscia_hooks.kuscia.api import KusciaAPI
from tests.hooks.builders import container, pod, prepared, secret_data
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.dns import FakeDns
from tests.hooks.fakes.kuscia import Kuscia, serve
from tests.hooks.fakes.planted import PLANTED


@pytest.fixture(scope="session", autouse=True)
def keys_are_parsed_once() -> Iterator[None]:
    """OpenSSL checks the primes of a key, which takes longer than the rest of most tests."""
    with pytest.MonkeyPatch.context() as patch:
        load = functools.cache(serialization.load_pem_private_key)
        patch.setattr(serialization, "load_pem_private_key", load)
        yield


@pytest.fixture(scope="session")
def key_pem() -> bytes:
    return domain_key.new_key()


@pytest.fixture(scope="session")
def other_key_pem() -> bytes:
    return domain_key.new_key()


@pytest.fixture
def core() -> FakeCore:
    return FakeCore()


@pytest.fixture
def kube(core: FakeCore) -> Kube:
    return Kube(core)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def kuscia() -> Kuscia:
    return Kuscia()


@pytest.fixture
def endpoint(kuscia: Kuscia) -> Iterator[str]:
    with serve(kuscia) as url:
        yield url


@pytest.fixture
def client(endpoint: str, key_pem: bytes) -> Iterator[KusciaAPI]:
    with KusciaAPI(endpoint, "NOTLS", "kuscia-system", domain_key.load_key(key_pem), timeout=0.5) as client:
        yield client


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "_pause", lambda: None)


@pytest.fixture
def dns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeDns:
    return FakeDns(tmp_path, monkeypatch)


class _CurrentStdout(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what is standard output at that moment: pytest changes it between a test's phases."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stdout)
        PLANTED.write("log", self.format(record))
        super().emit(record)


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    redaction._secrets.clear()
    redaction._short.clear()
    log.setup(as_json=False)
    (handler,) = log.logger.handlers
    current = _CurrentStdout()
    current.setFormatter(handler.formatter)
    log.logger.handlers = [current]
    yield
    log.logger.handlers = []


@pytest.fixture(autouse=True)
def no_secret_gets_out(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test makes a step write a secret of the fakes to the log, the termination message or a ConfigMap."""
    PLANTED.clear()
    write = termination.write

    def noted(text: str) -> None:
        PLANTED.write("termination message", text)
        write(text)

    monkeypatch.setattr(termination, "write", noted)
    yield
    assert PLANTED.leaks() == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> FakeTime:
    """Waits of the steps take no time."""
    fake = FakeTime()
    monkeypatch.setattr(waiting, "Clock", lambda: fake.clock)
    return fake


@pytest.fixture
def two_domains(core: FakeCore, kuscia: Kuscia, key_pem: bytes) -> None:
    """A master with the domains alice and bob, and the objects in Kubernetes that its steps read."""
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    core.put("services", "ns", "kuscia-master")
    for name in ("alice", "bob"):
        kuscia.do_domain_create({"domain_id": name})


@pytest.fixture
def gateways(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Error IDs of the gateways that fail, by endpoint."""
    problems: dict[str, str] = {}

    def probe(endpoint: str) -> None:
        if endpoint in problems:
            raise RetryableError(problems[endpoint], "the message")

    def handshake_state(endpoint: str, domain: str) -> int:
        if f"{endpoint}/handshake" in problems:
            raise PermanentError(problems[f"{endpoint}/handshake"], "the message")
        return 2

    monkeypatch.setattr(gateway, "probe", probe)
    monkeypatch.setattr(gateway, "handshake_state", handshake_state)
    monkeypatch.setattr(gateway, "master_id", lambda endpoint, domain: "kuscia-system")
    return problems


@pytest.fixture
def healthy(core: FakeCore, key_pem: bytes) -> FakeCore:
    """A master that is ready, with the Secrets that it started with."""
    core.put("secrets", "ns", "own-domain-key", data=secret_data(**{"domain.key": key_pem}))
    core.put("services", "ns", "kuscia-master", spec={"clusterIP": "10.1.1.1"})
    message = {"secrets": {"own-domain-key/domain.key": domain_key.fingerprint(key_pem, key_pem)}, "dnsServers": []}
    node = pod(
        "m-1",
        "master",
        initContainerStatuses=[prepared(json.dumps(message))],
        containerStatuses=[container("master", running={})],
    )
    core.pods["ns"] = [node]
    core.logs["ns", "m-1", "prepare", False] = b"wrote it\n"
    core.logs["ns", "m-1", "master", False] = b"Kuscia started success\n"
    return core


@pytest.fixture
def master(kuscia: Kuscia, client: KusciaAPI) -> KusciaAPI:
    """KusciaAPI of a master whose domain alice is registered, with a route that is READY."""
    kuscia.join("alice")
    kuscia.routes["alice", "kuscia-system"] = {}
    return client
