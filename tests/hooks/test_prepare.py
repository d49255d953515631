"""The step `prepare` on a fake of the API server; gateway, registration and databases are replaced."""

import base64
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import termination, trust
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.errors import ConfigError, DeadlineExceeded, PermanentError, RetryableError, StepWarning
from kuscia_hooks.kuscia import datastore, domain_key, engine_namespace, gateway, kernel, registration
from kuscia_hooks.steps import prepare
from tests.hooks.builders import MYSQL, POSTGRES, context, prepare_lite, prepare_master, secret_data
from tests.hooks.failing import fails
from tests.hooks.fakes.certificates import Authority
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore, api_exception


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.yaml"
    content = {
        "mode": "lite",
        "domainID": "alice",
        "protocol": "TLS",
        "runk": {"namespace": "ns", "dnsServers": []},
    }
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def ready(core: FakeCore, key_pem: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that a lite waits for is ready; returns the requests in order."""
    asked: list[str] = []
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    core.put("secrets", "m", "tok", data=secret_data(token="the-token\n"))
    core.fail = lambda verb, kind, name: asked.append(name)
    monkeypatch.setattr(gateway, "probe", lambda *_: asked.append("gateway"))
    monkeypatch.setattr(gateway, "handshake_state", lambda *_: asked.append("handshake") or 2)
    monkeypatch.setattr(registration, "register", lambda *arguments: asked.append(f"register {arguments[2]}"))
    return asked


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The termination log of the container."""
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setattr(termination, "LOG", path)
    return path


def run(config: Prepare, base: Path, kube: Kube, fake_time: FakeTime, seconds: float = 30) -> dict[str, Any]:
    output = base.parent / "kuscia.yaml"
    settings = prepare.Settings(config, str(base), str(output))
    prepare.attempt(settings, context(kube, fake_time.deadline(seconds)))
    return yaml.safe_load(output.read_text())


@dataclass(frozen=True)
class Pod:
    """A pod with everything that the step waits for.

    Args:
        base: the configuration from the chart. The step writes its files next to it.
    """

    base: Path
    kube: Kube
    fake_time: FakeTime

    def prepare(self, config: Prepare, seconds: float = 30) -> dict[str, Any]:
        """Run the step with a deadline; return the configuration that it writes."""
        if config.mode == "master":
            self.base.write_text("mode: master\ndomainID: alice\n")
        return run(config, self.base, self.kube, self.fake_time, seconds)


@pytest.fixture
def pod(base: Path, kube: Kube, fake_time: FakeTime, ready: list[str]) -> Pod:
    return Pod(base, kube, fake_time)


def assert_key(made: dict[str, Any], record: Path, key: bytes) -> None:
    """Kuscia gets this key, and `doctor` compares with it."""
    assert base64.b64decode(made["domainKeyData"]) == key
    assert json.loads(record.read_text())["secrets"] == {"key/domain.key": domain_key.fingerprint(key, key)}


def test_writes_the_configuration_of_a_lite(pod: Pod, key_pem: bytes) -> None:
    made = pod.prepare(prepare_lite())
    assert base64.b64decode(made["domainKeyData"]) == key_pem
    assert made["liteDeployToken"] == "the-token"
    assert made["protocol"] == "TLS"
    assert "datastoreEndpoint" not in made


def test_waits_in_order(pod: Pod, ready: list[str]) -> None:
    """The token is read last, because it may change while the step waits."""
    pod.prepare(prepare_lite())
    assert ready == ["key", "gateway", "handshake", "key", "tok", "register the-token", "key"]


def test_waits_for_the_ca_bundle(pod: Pod, base: Path, ready: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Kuscia itself reads the bundle once, at its start."""
    bundle = base.parent / "ca.crt"
    monkeypatch.setenv(trust.CA_BUNDLE, str(bundle))
    with fails("ca-bundle-not-found"):
        pod.prepare(prepare_lite(), seconds=5)
    assert ready == []
    bundle.write_bytes(Authority().pem)
    assert pod.prepare(prepare_lite())["domainID"] == "alice"


def test_uses_a_key_that_was_corrected_during_the_wait(
    pod: Pod, core: FakeCore, key_pem: bytes, other_key_pem: bytes, monkeypatch: pytest.MonkeyPatch, record: Path
) -> None:
    def rejected_until_corrected(_master: str, _domain: str, _token: str, key: RSAPrivateKey) -> None:
        if domain_key.public_der(key) == domain_key.public_der(domain_key.load_key(key_pem)):
            core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": other_key_pem}))
            raise RetryableError("deploy-token-mismatch", "deploy token found but used", see="kubectl get secret")

    monkeypatch.setattr(registration, "register", rejected_until_corrected)
    made = pod.prepare(prepare_lite())
    assert_key(made, record, other_key_pem)


def test_uses_a_configuration_that_changed_during_the_wait(
    pod: Pod, core: FakeCore, fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is changed, then invalid, then changed again."""

    def config(text: str) -> None:
        core.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": text}))

    def probe(_: str) -> None:
        if fake_time.time < 3:
            config("protocol: NOTLS" if fake_time.time > 1 else "clusterToken: early")
            raise RetryableError("not-a-gateway", "https://m:1080 is not a gateway")

    def correct(_verb: str, _kind: str, _name: str) -> None:
        if fake_time.time > 8:
            config("clusterToken: late")

    config("clusterToken: first")
    core.fail = correct
    monkeypatch.setattr(gateway, "probe", probe)
    assert pod.prepare(prepare_lite(**EXTRA))["clusterToken"] == "late"
    out = capsys.readouterr().out
    assert "Secret ns/more\n" in out
    assert "[extra-config-key-rejected] " in out
    assert "protocol (has a value of its own)" in out


def test_uses_a_master_key_that_changed_during_the_wait(
    pod: Pod,
    core: FakeCore,
    other_key_pem: bytes,
    fake_time: FakeTime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record: Path,
) -> None:
    def check(_: Any) -> None:
        if fake_time.time < 3:
            core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": other_key_pem}))
            raise RetryableError("state-not-writable", "the volume is not writable")

    monkeypatch.setattr(datastore, "check_sqlite", check)
    made = pod.prepare(prepare_master({"type": "sqlite", "path": str(tmp_path)}))
    assert_key(made, record, other_key_pem)


def test_waits_for_a_secret_that_was_deleted_during_the_wait(
    pod: Pod,
    core: FakeCore,
    key_pem: bytes,
    fake_time: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:

    def register(*_: Any) -> None:
        if fake_time.time < 1:
            core.objects.pop(("secrets", "ns", "key"))
            fake_time.time = 1

    def restore(_verb: str, _kind: str, _name: str) -> None:
        if fake_time.time > 5:
            core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))

    core.fail = restore
    monkeypatch.setattr(registration, "register", register)
    assert base64.b64decode(pod.prepare(prepare_lite())["domainKeyData"]) == key_pem
    assert "waiting for the domain key in Secret ns/key (1 of 30 s): " in capsys.readouterr().out


def test_needs_no_token_when_admitted_by_certificate(pod: Pod, ready: list[str]) -> None:
    made = pod.prepare(prepare_lite(deployToken=None))
    assert made["liteDeployToken"] == prepare.NO_TOKEN
    assert "tok" not in ready


def test_rootless_writes_both_resolv_confs(pod: Pod, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root, Kuscia cannot write them itself."""
    given = base.parent / "given.conf"
    given.write_text("nameserver 10.96.0.10\nsearch ns.svc.cluster.local\n")
    monkeypatch.setattr(prepare, "POD_RESOLV_CONF", given)
    pod.prepare(prepare_lite(rootless=True))
    own, upstream = base.parent / "resolv.conf", base.parent / "upstream-resolv.conf"
    assert own.read_text() == "nameserver 127.0.0.1\n"
    assert upstream.read_text() == given.read_text()
    assert stat.S_IMODE(own.stat().st_mode) == stat.S_IMODE(upstream.stat().st_mode) == 0o644


def test_root_writes_no_resolv_conf(pod: Pod, base: Path) -> None:
    pod.prepare(prepare_lite())
    assert not (base.parent / "resolv.conf").exists()


def test_output_is_readable_by_owner_and_group(pod: Pod, base: Path) -> None:
    pod.prepare(prepare_lite())
    output = base.parent / "kuscia.yaml"
    assert stat.S_IMODE(output.stat().st_mode) == 0o640
    assert sorted(path.name for path in base.parent.iterdir()) == ["base.yaml", "kuscia.yaml"]


def test_sets_dns_servers_of_engines(pod: Pod) -> None:
    made = pod.prepare(prepare_lite(dnsService="localhost"))
    assert made["runk"] == {"namespace": "ns", "dnsServers": ["127.0.0.1"]}


def test_keeps_configured_dns_servers(pod: Pod, base: Path) -> None:
    content = yaml.safe_load(base.read_text())
    content["runk"]["dnsServers"] = ["10.0.0.9"]
    base.write_text(yaml.safe_dump(content))
    assert pod.prepare(prepare_lite(dnsService="localhost"))["runk"]["dnsServers"] == ["10.0.0.9"]


class Late:
    """A probe that fails for the first calls."""

    def __init__(self, times: int, error: RetryableError, result: Any = None) -> None:
        self.times, self.error, self.result = times, error, result

    def __call__(self, *_: Any) -> Any:
        self.times -= 1
        if self.times >= 0:
            raise self.error
        return self.result


def test_waits_for_the_gateway(pod: Pod, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        gateway,
        "probe",
        Late(25, RetryableError("not-a-gateway", "https://m:1080 is not a gateway")),
    )
    pod.prepare(prepare_lite(), 0)
    told = [line for line in capsys.readouterr().out.splitlines() if "waiting for the gateway of the master" in line]
    assert len(told) == 3


def test_waits_for_the_domain(pod: Pod, monkeypatch, capsys) -> None:
    states = iter([5, 5, 6, 4])
    monkeypatch.setattr(gateway, "handshake_state", lambda *_: next(states))
    pod.prepare(prepare_lite())
    out = capsys.readouterr().out
    assert "[unknown-domain] " in out
    assert "fix: set master.domains.alice " in out
    assert "[domain-not-admitted] " in out
    assert "state 6" in out


def test_continues_after_a_corrected_token(core: FakeCore, pod: Pod, fake_time: FakeTime, monkeypatch, capsys) -> None:
    core.put("secrets", "m", "tok", data=secret_data(token="wrong-token"))

    def register(endpoint: str, domain_id: str, token: str, key: Any) -> None:
        if token != "right-token":
            if fake_time.time > 5:
                core.put("secrets", "m", "tok", data=secret_data(token="right-token"))
            raise RetryableError("deploy-token-mismatch", "deploy token not found")

    monkeypatch.setattr(registration, "register", register)
    assert pod.prepare(prepare_lite())["liteDeployToken"] == "right-token"
    out = capsys.readouterr().out
    assert "[deploy-token-mismatch] " in out
    assert "Secret m/tok, key token (deploy token not found)" in out
    assert "wrong-token" not in out


UNREADABLE = {
    "secret-not-found": lambda core: core.objects.pop(("secrets", "m", "tok")),
    "secret-key-missing": lambda core: core.put("secrets", "m", "tok", data=secret_data(other="x")),
    "permission-denied": lambda core: setattr(core, "fail", _forbid_the_token),
}


def _forbid_the_token(_verb: str, _kind: str, name: str) -> None:
    if name == "tok":
        raise api_exception(403, "forbidden")


@pytest.mark.parametrize("error_id", UNREADABLE)
def test_a_registered_lite_starts_without_its_token(core: FakeCore, pod: Pod, error_id: str, capsys) -> None:
    """The master has the key of the domain, and then ignores the token."""
    UNREADABLE[error_id](core)
    assert pod.prepare(prepare_lite())["liteDeployToken"] == prepare.NO_TOKEN
    assert "m/tok" in capsys.readouterr().out


@pytest.mark.parametrize("error_id", UNREADABLE)
def test_an_unregistered_lite_waits_for_its_token(
    core: FakeCore,
    pod: Pod,
    fake_time: FakeTime,
    error_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def register(endpoint: str, domain_id: str, token: str, key: Any) -> None:
        if token != "right-token":
            if fake_time.time > 5:
                core.fail = lambda *_: None
                core.put("secrets", "m", "tok", data=secret_data(token="right-token"))
            raise RetryableError("deploy-token-mismatch", "deploy token not found")

    UNREADABLE[error_id](core)
    monkeypatch.setattr(registration, "register", register)
    assert pod.prepare(prepare_lite())["liteDeployToken"] == "right-token"
    out = capsys.readouterr().out
    assert f"[{error_id}] " in out
    assert "m/tok" in out
    assert "[deploy-token-mismatch]" not in out


@pytest.mark.parametrize(
    ("name", "namespace", "fix"),
    [
        ("kuscia-deploy-token-alice", "m", "kubectl create job reconcile --from="),
        ("x-kuscia-master-deploy-token-alice", "m", "get cronjob -n m -l app.kubernetes.io/component=reconcile"),
        ("kuscia-deploy-token-alice", "ns", "kubectl kuscia invite alice --token"),
        ("of-my-own", "m", "kubectl create secret generic of-my-own -n m"),
    ],
)
def test_says_who_writes_a_missing_token(pod: Pod, monkeypatch, name: str, namespace: str, fix: str) -> None:
    mismatch = Late(99, RetryableError("deploy-token-mismatch", "deploy token not found"))
    monkeypatch.setattr(registration, "register", mismatch)
    token = {"namespace": namespace, "name": name, "key": "token"}
    with pytest.raises(DeadlineExceeded) as raised:
        pod.prepare(prepare_lite(deployToken=token), seconds=3)
    assert raised.value.__cause__.id == "secret-not-found"
    assert fix in raised.value.__cause__.fix


def down(fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch, begin: float, end: float) -> None:
    """Let the gateway of the master be down from `begin` to `end`."""

    def probe(*_: Any) -> None:
        if begin <= fake_time.time < end:
            raise RetryableError("master-down", "connection refused")
        if fake_time.time < begin:
            raise RetryableError("not-a-gateway", "something else answers")

    monkeypatch.setattr(gateway, "probe", probe)


@pytest.mark.parametrize("options", [{}, {"deployToken": None}], ids=["token", "certificate"])
def test_waits_until_the_former_gateway_of_a_restarted_master_is_gone(
    pod: Pod, fake_time: FakeTime, monkeypatch, capsys, options: dict[str, Any]
) -> None:
    """The master and the lite are upgraded at the same time; Kuscia would exit every minute."""
    down(fake_time, monkeypatch, 10, 40)
    pod.prepare(prepare_lite(**options), seconds=0)
    assert 190 <= fake_time.time < 195
    out = capsys.readouterr().out
    assert 14 <= out.count("[master-restarted] ") <= 17


def test_does_not_wait_after_a_long_outage(pod: Pod, fake_time: FakeTime, monkeypatch) -> None:
    down(fake_time, monkeypatch, 0, 200)
    pod.prepare(prepare_lite(), seconds=0)
    assert fake_time.time < 205


def test_a_new_lite_does_not_wait_for_a_former_gateway(pod: Pod, fake_time: FakeTime, monkeypatch) -> None:
    """All parties are installed at the same time. The master has neither the key of the lite nor a former gateway."""

    def register(endpoint: str, domain_id: str, token: str, key: Any) -> None:
        if token == prepare.NO_TOKEN:
            raise RetryableError("deploy-token-mismatch", "deploy token not found")

    monkeypatch.setattr(registration, "register", register)
    down(fake_time, monkeypatch, 0, 40)
    assert pod.prepare(prepare_lite(), seconds=0)["liteDeployToken"] == "the-token"
    assert fake_time.time < 45


def test_a_new_domain_with_a_certificate_does_not_wait_for_a_former_gateway(
    pod: Pod, fake_time: FakeTime, monkeypatch
) -> None:
    states = iter([5, 2])
    monkeypatch.setattr(gateway, "handshake_state", lambda *_: next(states))
    down(fake_time, monkeypatch, 0, 40)
    pod.prepare(prepare_lite(deployToken=None), seconds=0)
    assert fake_time.time < 45


def test_continues_after_a_corrected_key(core: FakeCore, pod: Pod, key_pem: bytes, fake_time: FakeTime, capsys) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": "garbage"}))

    def correct(verb: str, kind: str, name: str) -> None:
        if fake_time.time > 3:
            core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))

    core.fail = correct
    assert pod.prepare(prepare_lite())["domainKeyData"]
    assert "waiting for the domain key in Secret ns/key (" in capsys.readouterr().out


EXTRA = {
    "extraConfigSecret": {"name": "more", "key": "kuscia.yaml"},
    "extraConfigRefused": {
        "protocol": "has a value of its own",
        "runk.namespace": "it too",
        "domainRoute.externalTLS": "not so",
        "kusciaAPI": "no block of it",
    },
}


def test_merges_additional_configuration(
    core: FakeCore, pod: Pod, base: Path, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    """Mappings are merged, lists replaced; the Secret may be created late, and is not printed."""
    content = yaml.safe_load(base.read_text())
    base.write_text(yaml.safe_dump({**content, "agent": {"plugins": ["a", "b"], "provider": {"k8s": {"qps": 5}}}}))
    extra = {
        "clusterToken": "hidden-token",
        "agent": {"plugins": ["c"], "provider": {"k8s": {"burst": 9}}},
        "runk": {"logMaxFiles": 3},
    }

    def appear(verb: str, kind: str, name: str) -> None:
        if fake_time.time > 3:
            core.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": yaml.safe_dump(extra)}))

    core.fail = appear
    made = pod.prepare(prepare_lite(**EXTRA))
    assert made["clusterToken"] == "hidden-token"
    assert made["agent"] == {"plugins": ["c"], "provider": {"k8s": {"qps": 5, "burst": 9}}}
    assert made["runk"] == {"namespace": "ns", "dnsServers": [], "logMaxFiles": 3}
    assert made["domainID"] == "alice"
    out = capsys.readouterr().out
    assert "waiting for the configuration in Secret ns/more" in out
    assert "hidden-token" not in out


def test_records_marks_of_the_secrets_used(
    core: FakeCore, pod: Pod, key_pem: bytes, monkeypatch: pytest.MonkeyPatch, record: Path
) -> None:
    """The record has a keyed hash of each Secret, not its value."""
    text = "clusterToken: hidden-token"
    core.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": text}))
    core.put("secrets", "ns", "db", data=secret_data(password="hidden-password"))
    monkeypatch.setattr(datastore, "check_database", lambda *_: [])
    pod.prepare(prepare_master(MYSQL, **EXTRA))
    recorded = json.loads(record.read_text())
    assert recorded.pop("kernel") == kernel.parameters()
    assert recorded == {
        "secrets": {
            "key/domain.key": domain_key.fingerprint(key_pem, key_pem),
            "more/kuscia.yaml": domain_key.fingerprint(key_pem, text.encode()),
            "db/password": domain_key.fingerprint(key_pem, b"hidden-password"),
        },
        "dnsServers": [],
    }
    assert "hidden" not in record.read_text()


@pytest.mark.parametrize(
    ("text", "error_id", "fact"),
    [
        ("protocol: NOTLS", "extra-config-key-rejected", "protocol (has a value of its own)"),
        ("runk: {namespace: hidden}", "extra-config-key-rejected", "runk.namespace (it too)"),
        (
            "domainRoute: {externalTLS: {keyData: hidden}}",
            "extra-config-key-rejected",
            "domainRoute.externalTLS (not so)",
        ),
        ("kusciaAPI:\n  token: hidden", "extra-config-key-rejected", "kusciaAPI (no block of it)"),
        ("clusterToken: [hidden", "invalid-extra-config", "line 1"),
        ("- hidden", "invalid-extra-config", "kuscia.yaml of Secret ns/more"),
        ("# hidden", "invalid-extra-config", "kuscia.yaml of Secret ns/more"),
    ],
)
def test_rejects_additional_configuration(
    core: FakeCore, pod: Pod, capsys: pytest.CaptureFixture[str], text: str, error_id: str, fact: str
) -> None:
    core.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": text}))
    with pytest.raises(DeadlineExceeded) as error:
        pod.prepare(prepare_lite(**EXTRA), 3)
    assert fact in capsys.readouterr().out, "the mask hides lines of the Secret, not the reason"
    assert error.value.id == error_id
    assert fact in error.value.message
    assert "hidden" not in str(error.value)


def test_reports_a_certificate_mismatch(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*_: Any) -> None:
        raise RetryableError("deploy-token-mismatch", "token not found")

    monkeypatch.setattr(registration, "register", reject)
    with pytest.raises(DeadlineExceeded, match="token not found") as error:
        pod.prepare(prepare_lite(deployToken=None), 3)
    assert error.value.id == "certificate-mismatch"
    assert "master.domains.alice.cert" in error.value.fix


def test_does_not_blame_the_token_when_the_master_is_unreachable(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise RetryableError("master-unreachable", "timed out")

    monkeypatch.setattr(registration, "register", fail)
    with pytest.raises(DeadlineExceeded) as error:
        pod.prepare(prepare_lite(), 3)
    assert error.value.id == "master-unreachable"


def test_fails_at_the_deadline(base: Path, kube: Kube, fake_time: FakeTime) -> None:
    with pytest.raises(DeadlineExceeded, match="Secret ns/key"):
        run(prepare_lite(), base, kube, fake_time, 5)
    assert not (base.parent / "kuscia.yaml").exists()


RECORDED_ROUTES = {"routes": '{"alice-bob":"0123456789ab"}'}


@pytest.mark.parametrize(
    ("recorded", "state", "warns"),
    [
        (RECORDED_ROUTES, False, True),
        (RECORDED_ROUTES, True, False),
        ({"routes": "{}", "appImages": "{}"}, False, False),
        (None, False, False),
    ],
)
def test_warns_about_a_new_datastore_of_a_used_cluster(
    core: FakeCore,
    pod: Pod,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recorded: dict[str, str] | None,
    state: bool,
    warns: bool,
) -> None:
    """The datastore was changed in place, or its volume is a new one."""
    if recorded is not None:
        core.put("configmaps", "ns", "ledger", data=recorded)
    if state:
        file = tmp_path / datastore.SQLITE_STATE
        file.parent.mkdir(parents=True)
        file.touch()
    store = {"type": "sqlite", "path": str(tmp_path)}
    pod.prepare(prepare_master(store, ledger="ledger"))
    assert ("WARNING [cluster-state-empty] " in capsys.readouterr().out) is warns


def test_reports_a_permanent_answer_of_the_master_immediately(
    pod: Pod, base: Path, fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting does not help; in mode `job` the step reports it and tries again later."""

    def denied(*_: Any) -> None:
        raise PermanentError("master-access-denied", "HTTP 403")

    monkeypatch.setattr(registration, "register", denied)
    with fails("master-access-denied"):
        pod.prepare(prepare_lite())
    assert fake_time.time == 0
    assert not (base.parent / "kuscia.yaml").exists()


def test_writes_the_configuration_of_a_master_on_sqlite(pod: Pod, tmp_path: Path) -> None:
    store = {"type": "sqlite", "path": str(tmp_path)}
    made = pod.prepare(prepare_master(store))
    assert set(made) == {"mode", "domainID", "domainKeyData"}


def test_writes_the_configuration_of_a_master_on_mysql(
    core: FakeCore, pod: Pod, fake_time: FakeTime, monkeypatch, capsys, record: Path
) -> None:
    """A wrong password is reported, and read again once the Secret is corrected."""
    core.put("secrets", "ns", "db", data=secret_data(password="wrong-password"))

    def check(database: Any, password: str, token: str) -> list[StepWarning]:
        if password != "right@/pässword":
            if fake_time.time > 5:
                core.put("secrets", "ns", "db", data=secret_data(password="right@/pässword"))
            raise RetryableError("database-login", "mysql root@db:3306/kine: 1045 Access denied")
        return [StepWarning("database-version", "MySQL is old")]

    monkeypatch.setattr(datastore, "check_database", check)
    made = pod.prepare(prepare_master({**MYSQL, "database": "my-kine"}))
    assert made["datastoreEndpoint"] == "mysql://root:right@/pässword@tcp(db:3306)/my-kine"
    out = capsys.readouterr().out
    assert "waiting for the datastore (0 of 30 s): [database-login] mysql root@db:3306/kine: 1045 Access denied" in out
    assert sum(line.startswith("WARNING") and "my-kine" in line for line in out.splitlines()) == 1
    assert out.count("WARNING [database-version] ") == 1
    assert "wrong-password" not in out
    marks = json.loads(record.read_text())["secrets"]
    assert set(marks) == {"key/domain.key", "db/password"}
    assert "pässword" not in record.read_text()


def test_continues_once_the_database_secret_exists(
    core: FakeCore, pod: Pod, fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """First the Secret is missing, then it has the password under a different key."""

    def appear(verb: str, kind: str, name: str) -> None:
        if fake_time.time > 12:
            core.put("secrets", "ns", "db", data=secret_data(password="secret-password"))
        elif fake_time.time > 6:
            core.put("secrets", "ns", "db", data=secret_data(pass_="secret-password"))

    core.fail = appear
    monkeypatch.setattr(datastore, "check_database", lambda *_: [])
    made = pod.prepare(prepare_master(POSTGRES))
    assert made["datastoreEndpoint"].startswith("postgres://root:secret-password@db:5432/")
    out = capsys.readouterr().out
    waits = [line for line in out.splitlines() if line.startswith("waiting for the datastore")]
    assert all("Secret ns/db" in line for line in waits)
    assert "pass_" in waits[-1]
    assert "see: kubectl get secret db -n ns" in out
    assert "secret-password" not in out


def test_continues_after_a_corrected_cluster_token(
    core: FakeCore, pod: Pod, fake_time: FakeTime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Secret with the token is read at each attempt."""

    def config(token: str) -> None:
        text = yaml.safe_dump({"clusterToken": token})
        core.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": text}))

    def check(database: Any, password: str, token: str) -> list[str]:
        if token == "former-token":
            return []
        if fake_time.time > 5:
            config("former-token")
        raise RetryableError("state-of-another-domain", "different clusterToken")

    config("changed-token")
    core.put("secrets", "ns", "db", data=secret_data(password="secret-password"))
    monkeypatch.setattr(datastore, "check_database", check)
    settings = prepare_master(MYSQL, **EXTRA)
    assert pod.prepare(settings)["clusterToken"] == "former-token"
    out = capsys.readouterr().out
    assert "waiting for the datastore (0 of 30 s): [state-of-another-domain] different clusterToken" in out
    assert "changed-token" not in out
    assert "former-token" not in out


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("mode: master\ndomainID: alice\n", "mode"),
        ("mode: lite\ndomainID: bob\n", "domainID"),
        ("mode: lite\ndomainID: alice\ndomainKeyData: x\n", "domainKeyData"),
        ("mode: master\nliteDeployToken: t\n", "liteDeployToken"),
        ("- a\n", "mapping"),
        ("a: b: c\n", "cannot read"),
    ],
)
def test_rejects_a_base_that_contradicts_the_configuration(
    base: Path, kube: Kube, fake_time: FakeTime, text: str, fact: str
) -> None:
    base.write_text(text)
    with pytest.raises(ConfigError, match=fact):
        run(prepare_lite(), base, kube, fake_time)


def test_reports_a_missing_base(tmp_path: Path, kube: Kube, fake_time: FakeTime) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        run(prepare_lite(), tmp_path / "absent.yaml", kube, fake_time)


MINE = {"domain": "alice", "lite": "ns/kuscia-lite-alice"}
ENGINES = {"namespace": "engines", "lite": MINE["lite"], "kubeconfigSecret": None}
KC = {"kubeconfigSecret": {"name": "kc", "key": "kubeconfig"}}


@pytest.fixture
def through_kubeconfig(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> FakeCore:
    """The cluster behind the kubeconfig in Secret ns/kc."""
    there = FakeCore()
    core.put("secrets", "ns", "kc", data=secret_data(kubeconfig="clusters: []"))
    monkeypatch.setattr(Kube, "of_kubeconfig", lambda text, login: Kube(there, login))
    return there


def test_retries_when_the_kubeconfig_is_rejected(
    pod: Pod, through_kubeconfig: FakeCore, capsys: pytest.CaptureFixture[str]
) -> None:
    left = [3]

    def refuse(*_: str) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise api_exception(401, "Unauthorized")

    through_kubeconfig.fail = refuse
    pod.prepare(prepare_lite(engines={**ENGINES, **KC}))
    said = capsys.readouterr().out
    assert "401" in said
    assert "kubectl describe secret kc -n ns" in said


def test_waits_while_the_engine_namespace_belongs_to_a_different_lite(
    core: FakeCore, pod: Pod, capsys: pytest.CaptureFixture[str]
) -> None:
    core.put(
        "configmaps", "engines", engine_namespace.MARKER, data={"domain": "bob", "lite": "lite-bob/kuscia-lite-bob"}
    )
    left = [3]

    def fail(verb: str, kind: str, name: str) -> None:
        left[0] -= kind == "configmaps"
        if not left[0]:
            core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)

    core.fail = fail
    pod.prepare(prepare_lite(engines=ENGINES))
    said = capsys.readouterr().out
    assert "waiting for the engine namespace engines " in said
    assert "bob" in said
    assert "lite-bob/kuscia-lite-bob" in said


@pytest.mark.parametrize("logging", [False, True])
def test_waits_for_the_permissions_of_runk(
    core: FakeCore, pod: Pod, base: Path, fake_time: FakeTime, capsys: pytest.CaptureFixture[str], logging: bool
) -> None:
    content = yaml.safe_load(base.read_text())
    base.write_text(yaml.safe_dump({**content, "runk": {**content["runk"], "enableLogging": logging}}))
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)
    core.refused = {("list", "secrets"), ("get", "pods/log")}

    def grant(_verb: str, _kind: str, _name: str) -> None:
        if fake_time.time > 3:
            core.refused = set()

    core.fail = grant
    pod.prepare(prepare_lite(engines=ENGINES))
    said = capsys.readouterr().out
    (wait,) = [line for line in said.splitlines() if line.startswith("waiting for the engine namespace engines (0 of")]
    assert "list secrets" in wait
    assert ("get pods/log" in wait) is logging


def test_pauses_between_checks_of_the_permissions_of_runk(core: FakeCore, pod: Pod) -> None:
    """Each check takes one request per permission."""
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)
    core.refused = {("list", "secrets")}
    with fails("runk-forbidden"):
        pod.prepare(prepare_lite(engines=ENGINES), 60)
    reviews = [call for call in core.calls if call[1] == "selfsubjectaccessreviews"]
    once = len(engine_namespace.VERBS) * len(engine_namespace.RESOURCES)
    assert 4 * once <= len(reviews) <= 8 * once


def test_writes_the_kubeconfig(pod: Pod, through_kubeconfig: FakeCore, base: Path) -> None:
    pod.prepare(prepare_lite(engines={**ENGINES, **KC}))
    assert (base.parent / "kubeconfig").read_text() == "clusters: []"
    assert through_kubeconfig.data("configmaps", "engines", engine_namespace.MARKER) == MINE


def test_uses_a_kubeconfig_that_changed_during_the_wait(
    core: FakeCore,
    pod: Pod,
    through_kubeconfig: FakeCore,
    base: Path,
    fake_time: FakeTime,
    monkeypatch: pytest.MonkeyPatch,
    record: Path,
) -> None:
    def probe(_: str) -> None:
        if fake_time.time < 3:
            core.put("secrets", "ns", "kc", data=secret_data(kubeconfig="clusters: [other]"))
            raise RetryableError("not-a-gateway", "https://m:1080 is not a gateway")

    monkeypatch.setattr(gateway, "probe", probe)
    pod.prepare(prepare_lite(engines={**ENGINES, **KC}))
    assert (base.parent / "kubeconfig").read_text() == "clusters: [other]"
    assert set(json.loads(record.read_text())["secrets"]) == {"key/domain.key"}


def test_writes_no_kubeconfig_for_the_service_account(core: FakeCore, pod: Pod, base: Path) -> None:
    core.put("configmaps", "engines", engine_namespace.MARKER, data=MINE)
    pod.prepare(prepare_lite(engines=ENGINES))
    assert not (base.parent / "kubeconfig").exists()


@pytest.mark.parametrize("value", ["12:34:56", "0123", "1_000", "2024-13-45", "2024-01-02", "yes", "0x10"])
def test_reads_additional_configuration_as_kuscia_does(core: FakeCore, pod: Pod, value: str) -> None:
    """YAML 1.1 has numbers to the base 60, octal numbers, dates, and more booleans."""
    core.put("secrets", "ns", "more", data=secret_data(**{"kuscia.yaml": f"clusterToken: {value}"}))
    assert pod.prepare(prepare_lite(**EXTRA))["clusterToken"] == value
