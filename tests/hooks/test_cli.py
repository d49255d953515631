import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from kuscia_hooks import cli
from kuscia_hooks.cluster.client import Kube
from tests.hooks.conftest import secret_data
from tests.hooks.fakes import FakeCore
from tests.hooks.kuscia_server import Kuscia

HOOKS = Path(__file__).parents[2] / "hooks"


@pytest.fixture
def command(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setattr(cli.command, "connect", lambda: Kube(core))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return CliRunner()


KEYS = [
    "keys",
    "--mode",
    "hook",
    "--timeout",
    "5",
    "--domain-id",
    "alice",
    "--namespace",
    "ns",
    "--key-secret",
    "k",
    "--cert-configmap",
    "c",
]


def test_keys(command: CliRunner, core: FakeCore) -> None:
    result = command.invoke(cli.main, [*KEYS, "--label", "a=b", "--label", "c=d=e"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("created=2 unchanged=0 failed=0 in ")
    assert core.objects["secrets", "ns", "k"]["metadata"]["labels"] == {"a": "b", "c": "d=e"}
    again = command.invoke(cli.main, KEYS)
    assert again.output.startswith("created=0 unchanged=2 failed=0 in ")


def test_keys_needs_a_human(command: CliRunner, core: FakeCore) -> None:
    core.put("secrets", "ns", "k", data={})
    result = command.invoke(cli.main, KEYS)
    assert result.exit_code == 2
    assert "ERROR keys needs a human" in result.output


@pytest.mark.parametrize("label", ["a", "=b"])
def test_wrong_label(command: CliRunner, label: str) -> None:
    result = command.invoke(cli.main, [*KEYS, "--label", label])
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output


def write(path: Path, content: dict) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_register(
    command: CliRunner, core: FakeCore, kuscia: Kuscia, endpoint: str, key_pem: bytes, tmp_path: Path
) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    content = {
        "domainId": "kuscia-system",
        "namespace": "ns",
        "keySecret": {"name": "key", "key": "domain.key"},
        "api": {"endpoint": endpoint, "protocol": "NOTLS"},
        "ledger": "l",
        "domains": {"alice": {"tokenSecret": "tok"}},
    }
    path = write(tmp_path / "register.yaml", content)
    result = command.invoke(cli.main, ["register", "--mode", "job", "--log-json", "--config", path])
    assert result.exit_code == 0, result.output
    last = json.loads(result.output.splitlines()[-1])
    assert last["message"].startswith("created=2 unchanged=0 failed=0")


@pytest.mark.parametrize("verb", ["prepare", "register", "routes", "data", "check"])
def test_a_wrong_config_is_listed(command: CliRunner, tmp_path: Path, verb: str) -> None:
    path = write(tmp_path / "x.yaml", {"surprise": 1, "domainId": "Alice"})
    arguments = [verb, "--config", path, *(["--base", "b", "--output", "o"] if verb == "prepare" else [])]
    result = command.invoke(cli.main, [*arguments, "--mode", "job"] if verb != "check" else arguments)
    assert result.exit_code == 2
    assert "surprise: unknown key" in result.output
    assert "domainId" in result.output


def test_deadline(command: CliRunner, core: FakeCore, tmp_path: Path) -> None:
    content = {
        "domainId": "kuscia-system",
        "namespace": "ns",
        "keySecret": {"name": "key", "key": "domain.key"},
        "api": {"endpoint": "http://127.0.0.1:9", "protocol": "NOTLS"},
        "ledger": "l",
        "domains": {},
    }
    path = write(tmp_path / "register.yaml", content)
    result = command.invoke(cli.main, ["register", "--mode", "hook", "--timeout", "1.2", "--config", path])
    assert result.exit_code == 1
    assert "Secret ns/key does not exist" in result.output


LOOKS = {
    "mode": "master",
    "domainId": "kuscia-system",
    "namespace": "ns",
    "keySecret": {"name": "key", "key": "domain.key"},
    "release": "kuscia",
    "fullname": "kuscia-master",
    "gateway": "http://127.0.0.1:9",
}


def looks(tmp_path: Path, endpoint: str) -> list[str]:
    return ["--config", write(tmp_path / "doctor.yaml", {**LOOKS, "api": {"endpoint": endpoint, "protocol": "NOTLS"}})]


def test_doctor_finds(command: CliRunner, core: FakeCore, key_pem: bytes, tmp_path: Path, endpoint: str) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    result = command.invoke(cli.main, ["doctor", *looks(tmp_path, endpoint)])
    assert result.exit_code == 1, result.output
    assert "kuscia-system: 1 cause found" in result.output
    assert "kubectl scale deployment/kuscia-master -n ns --replicas=1" in result.output


def test_status_as_json(command: CliRunner, core: FakeCore, key_pem: bytes, tmp_path: Path, endpoint: str) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    result = command.invoke(cli.main, ["status", "--json", *looks(tmp_path, endpoint)])
    # The server on loopback has neither /version nor streams.
    assert result.exit_code == 1, result.output
    assert json.loads(result.output)["domain"] == "kuscia-system"


def test_logs_of_no_job(command: CliRunner, core: FakeCore, key_pem: bytes, tmp_path: Path, endpoint: str) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    result = command.invoke(cli.main, ["logs", "nosuch", *looks(tmp_path, endpoint)])
    assert result.exit_code == 2
    assert "ERROR there is no job nosuch" in result.output


def test_invite(command: CliRunner, tmp_path: Path) -> None:
    result = command.invoke(cli.main, ["invite", "carl", *looks(tmp_path, "http://127.0.0.1:9")])
    assert result.exit_code == 0
    assert yaml.safe_load(result.output)["lite"]["domainId"] == "carl"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HOOKS)}


def test_sigterm_ends_a_wait_at_once(tmp_path: Path) -> None:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "x", "user": {}}],
    }
    path = write(tmp_path / "kubeconfig", kubeconfig)
    with subprocess.Popen(
        [sys.executable, "-m", "kuscia_hooks", *KEYS[:1], "--mode", "job", *KEYS[5:]],
        env={**environment(), "KUBECONFIG": path},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "the Kubernetes API server is not reached" in process.stdout.readline()
        begin = time.monotonic()
        process.terminate()
        assert process.wait(5) == 128 + signal.SIGTERM
        assert time.monotonic() - begin < 2


def test_help_is_quick_and_imports_no_client() -> None:
    """The clients for Kubernetes, S3 and databases are imported by the steps that need them."""
    program = (
        "import sys\n"
        "from kuscia_hooks import cli\n"
        "heavy = {'kubernetes', 'minio', 'pymysql', 'pg8000', 'httpx', 'cryptography', 'pydantic'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
