import importlib
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from kuscia_hooks import cli
from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import termination
from kuscia_hooks.core.errors import PermanentError, RetryableError
from kuscia_hooks.kuscia import api, domain_key
from kuscia_hooks.steps import Context, Outcome
from tests.handmade import Node
from tests.hooks.builders import UNREACHABLE, node, secret_data
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.cluster import FakeCore
from tests.hooks.fakes.kuscia import Kuscia

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


def test_keys_creates_two_objects(command: CliRunner, core: FakeCore) -> None:
    result = command.invoke(cli.main, [*KEYS, "--label", "a=b", "--label", "c=d=e"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("created=2 unchanged=0 failed=0 in ")
    assert core.objects["secrets", "ns", "k"]["metadata"]["labels"] == {"a": "b", "c": "d=e"}
    again = command.invoke(cli.main, KEYS)
    assert again.output.startswith("created=0 unchanged=2 failed=0 in ")


def test_keys_exits_2_when_manual_action_is_required(command: CliRunner, core: FakeCore) -> None:
    core.put("secrets", "ns", "k", data={})
    result = command.invoke(cli.main, KEYS)
    assert result.exit_code == 2
    assert result.output.startswith("ERROR [domain-key-missing] keys: ")


@pytest.mark.parametrize("label", ["a", "=b"])
def test_rejects_invalid_labels(command: CliRunner, label: str) -> None:
    result = command.invoke(cli.main, [*KEYS, "--label", label])
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output


def write(path: Path, content: dict) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_register_logs_json(command: CliRunner, core: FakeCore, endpoint: str, key_pem: bytes, tmp_path: Path) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    content = node("kuscia-system", endpoint, ledger="l", domains={"alice": {"tokenSecret": "tok"}})
    path = write(tmp_path / "register.yaml", content)
    result = command.invoke(cli.main, ["register", "--mode", "job", "--log-format", "json", "--config", path])
    assert result.exit_code == 0, result.output
    last = json.loads(result.output.splitlines()[-1])
    assert last["message"].startswith("created=2 unchanged=0 failed=0")


@pytest.fixture
def repair(core: FakeCore, endpoint: str, key_pem: bytes, tmp_path: Path) -> list[str]:
    """The command `reconcile` for domains alice and bob and the routes between them."""
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    files = {
        "register": {"domains": {name: {"tokenSecret": f"tok-{name}"} for name in ("alice", "bob")}},
        "routes": {"domains": {name: {"endpoint": f"https://{name}"} for name in ("alice", "bob")}, "routes": "all"},
    }
    arguments = ["reconcile", "--timeout", "300"]
    for step, fields in files.items():
        path = write(tmp_path / f"{step}.yaml", node("kuscia-system", endpoint, ledger="l", **fields))
        arguments += [f"--{step}", path]
    return arguments


def test_reconcile_repairs_domains_and_routes(command: CliRunner, kuscia: Kuscia, repair: list[str]) -> None:
    """The route was changed in Kuscia, so that only a comparison finds it."""
    assert command.invoke(cli.main, repair).exit_code == 0
    assert set(kuscia.routes) == {("alice", "bob"), ("bob", "alice")}
    kuscia.routes["alice", "bob"]["endpoint"] = {"host": "other", "ports": []}
    del kuscia.domains["bob"]
    assert command.invoke(cli.main, repair).exit_code == 0
    assert set(kuscia.domains) == {"alice", "bob"}
    assert kuscia.routes["alice", "bob"]["endpoint"]["host"] == "bob"


@pytest.mark.parametrize("broken", ["register", "routes"])
def test_reconcile_runs_each_step_even_if_the_other_fails(
    command: CliRunner, kuscia: Kuscia, repair: list[str], tmp_path: Path, broken: str
) -> None:
    assert command.invoke(cli.main, repair).exit_code == 0
    kuscia.domains.clear()
    kuscia.routes.clear()
    for name in ("alice", "bob") if broken == "register" else ():
        kuscia.do_domain_create({"domain_id": name})
    write(tmp_path / f"{broken}.yaml", {"surprise": 1})
    result = command.invoke(cli.main, repair)
    assert result.exit_code == 2
    assert result.output.count("ERROR [invalid-config]") == 1
    assert len(kuscia.domains) == 2
    assert len(kuscia.routes) == (2 if broken == "register" else 0)


def test_reconcile_exits_1_at_the_deadline(command: CliRunner, core: FakeCore, repair: list[str]) -> None:
    core.objects.pop(("secrets", "ns", "key"))
    repair[repair.index("300")] = "0.1"
    result = command.invoke(cli.main, repair)
    assert result.exit_code == 1
    assert result.output.count("ERROR [secret-not-found]") == 2


@pytest.mark.parametrize("step", ["prepare", "register", "routes", "data", "check"])
def test_lists_wrong_values_of_a_configuration(command: CliRunner, tmp_path: Path, step: str) -> None:
    path = write(tmp_path / "x.yaml", {"surprise": 1, "domainId": "Alice"})
    arguments = [step, "--config", path, *(["--base", "b", "--output", "o"] if step == "prepare" else [])]
    result = command.invoke(cli.main, [*arguments, "--mode", "job"] if step != "check" else arguments)
    assert result.exit_code == 2
    assert "ERROR [invalid-config] " in result.output
    assert "[unknown-config-file-key] surprise: " in result.output
    assert "[invalid-domain-id] domainId: " in result.output


def test_exits_1_at_the_deadline(command: CliRunner, tmp_path: Path) -> None:
    content = node("kuscia-system", UNREACHABLE, ledger="l", domains={})
    path = write(tmp_path / "register.yaml", content)
    result = command.invoke(cli.main, ["register", "--mode", "hook", "--timeout", "1.2", "--config", path])
    assert result.exit_code == 1
    assert "Secret ns/key" in result.output


def release(tmp_path: Path, endpoint: str) -> list[str]:
    fields = {"mode": "master", "release": "kuscia", "fullname": "kuscia-master", "ledger": "l"}
    fields |= {"gateway": UNREACHABLE, "invitation": {"chartVersion": "0.1.0", "images": []}}
    return ["--config", write(tmp_path / "doctor.yaml", node("kuscia-system", endpoint, **fields))]


def test_doctor_exits_1_for_a_finding(
    command: CliRunner, core: FakeCore, key_pem: bytes, tmp_path: Path, endpoint: str
) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    result = command.invoke(cli.main, ["doctor", *release(tmp_path, endpoint)])
    assert result.exit_code == 1, result.output
    assert "kubectl scale deployment/kuscia-master -n ns --replicas=1" in result.output


@pytest.mark.parametrize(("watch", "code"), [(b'{"type":4}', 0), (b"<html>", 1)])
def test_status_exits_1_if_something_is_unknown(
    command: CliRunner,
    core: FakeCore,
    kuscia: Kuscia,
    key_pem: bytes,
    tmp_path: Path,
    endpoint: str,
    watch: bytes,
    code: int,
) -> None:
    """The output is JSON in both cases."""
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    kuscia.replies["job/watch"] = watch
    result = command.invoke(cli.main, ["status", "--output", "json", *release(tmp_path, endpoint)])
    assert result.exit_code == code, result.output
    found = json.loads(result.output)
    assert (found["domain"], found["version"]) == ("kuscia-system", "v1.1.0b0")
    assert len(found["unknown"]) == code


def test_logs_exits_2_for_an_unknown_job(
    command: CliRunner, core: FakeCore, key_pem: bytes, tmp_path: Path, endpoint: str
) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    result = command.invoke(cli.main, ["logs", "nosuch", *release(tmp_path, endpoint)])
    assert result.exit_code == 2
    assert "ERROR [" in result.output
    assert "nosuch" in result.output


@pytest.mark.parametrize("name", ["status", "logs"])
def test_inspection_logs_json(
    command: CliRunner, core: FakeCore, key_pem: bytes, tmp_path: Path, endpoint: str, name: str
) -> None:
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    result = command.invoke(cli.main, [name, "--log-format", "json", *release(tmp_path, endpoint)])
    assert all(json.loads(line)["level"] for line in result.output.splitlines())


def test_inspection_exits_1_when_the_node_does_not_answer(
    command: CliRunner, core: FakeCore, key_pem: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "BRIEF_SECONDS", 0.1)
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    result = command.invoke(cli.main, ["logs", *release(tmp_path, UNREACHABLE)])
    assert result.exit_code == 1, result.output
    assert "ERROR [kusciaapi-unreachable] " in result.output


def test_invite_prints_values(command: CliRunner, tmp_path: Path) -> None:
    result = command.invoke(cli.main, ["invite", "carl", *release(tmp_path, "http://127.0.0.1:9")])
    assert result.exit_code == 0
    assert yaml.safe_load(result.output)["lite"]["domainId"] == "carl"


def test_adopt_reports_input_that_is_not_text(command: CliRunner) -> None:
    failed = command.invoke(cli.main, ["adopt"], input=b"\x1f\x8b\x08\xff")
    assert failed.exit_code == 2
    assert failed.stderr.startswith("ERROR [adopt-input-invalid] ")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_adopt_reads_a_file_that_windows_wrote(command: CliRunner, encoding: str) -> None:
    """PowerShell redirects as UTF-16, with CRLF."""
    node = Node("master", "kuscia-system", "ns", "kuscia-master", domain_key.new_key())
    text = json.dumps({"kind": "List", "metadata": {}, "items": node.objects()}, indent=1).replace("\n", "\r\n")
    result = command.invoke(cli.main, ["adopt"], input=text.encode(encoding))
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["master"]["domainId"] == "kuscia-system"


def test_adopt_prints_only_the_file_to_standard_output(command: CliRunner) -> None:
    latest = Node("master", "kuscia-system", "ns", "kuscia-master", domain_key.new_key(), image="kuscia:latest")
    text = json.dumps({"kind": "List", "metadata": {}, "items": latest.objects()})
    result = command.invoke(cli.main, ["adopt"], input=text)
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["master"]["domainId"] == "kuscia-system"
    assert "WARNING [adopt-image-not-pinned] " in result.stderr
    secrets = command.invoke(cli.main, ["adopt", "kuscia-system", "--secrets"], input=text)
    assert yaml.safe_load(secrets.stdout)["kind"] == "Secret"
    failed = command.invoke(cli.main, ["adopt", "alice"], input=text)
    assert (failed.exit_code, failed.stdout) == (2, "")
    assert failed.stderr.startswith("ERROR [adopt-domain-required] adopt: ")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HOOKS)}


def test_sigterm_stops_a_wait_immediately(tmp_path: Path) -> None:
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
        assert process.stdout.readline().startswith("waiting for keys (")
        begin = time.monotonic()
        process.terminate()
        assert process.wait(5) == 128 + signal.SIGTERM
        assert time.monotonic() - begin < 2


def test_sigterm_during_a_write_to_standard_output_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python does not allow a signal handler to write to a stream that it interrupted."""

    class Interrupted:
        def flush(self) -> None:
            raise RuntimeError("reentrant call")

    monkeypatch.setattr(cli.command.sys, "stdout", Interrupted())
    monkeypatch.setattr(cli.command.os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.command._stop()
    assert ended.value.code == 128 + signal.SIGTERM


def test_reports_an_unreadable_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("clusters: [")
    done = subprocess.run(
        [sys.executable, "-m", "kuscia_hooks", *KEYS],
        env={**environment(), "KUBECONFIG": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout.startswith("ERROR [invalid-cluster-login] ")


def test_help_imports_no_client() -> None:
    """Steps import the clients of Kubernetes, S3 and databases that they need."""
    program = (
        "import sys\n"
        "from kuscia_hooks import cli\n"
        "heavy = {'kubernetes', 'botocore', 'pymysql', 'pg8000', 'httpx', 'cryptography', 'pydantic',\n"
        "    'boto3', 'rich', 'tenacity', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("step", ["keys", "prepare", "seed", "register", "routes", "data", "check"])
def test_step_imports_what_every_run_needs_only(step: str) -> None:
    """Its pod often lives for a second: what some runs need is imported by them."""
    program = (
        "import sys\n"
        f"import kuscia_hooks.steps.{step}\n"
        "rare = {'kubernetes', 'boto3', 'botocore', 'pymysql', 'pg8000', 'jwt', 'cryptography.x509', 'tenacity'}\n"
        "print(sorted(rare & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


STEPS = {"keys", "prepare", "seed", "register", "routes", "data", "check"}


def test_module_shows_the_program_name_and_whole_summaries() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kuscia_hooks", "--help"], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: kuscia-hooks ")
    text = " ".join(done.stdout.split())
    for name, command in cli.main.commands.items():
        assert f"{name} {' '.join((command.help or '').split())}" in text


def test_every_step_is_a_command() -> None:
    assert set(cli.main.commands) > STEPS
    for name in STEPS:
        module = importlib.import_module(f"kuscia_hooks.steps.{name}")
        assert list(inspect.signature(module.attempt).parameters) == ["settings", "context"]
        assert inspect.signature(module.attempt).return_annotation in (Outcome, "Outcome")


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_help_shows_an_example_and_every_environment_variable(command: CliRunner, name: str) -> None:
    result = command.invoke(cli.main, [name, "--help"])
    assert f"Example:\n    kuscia-hooks {name}" in result.output
    text = "".join(result.output.split())
    for parameter in cli.main.commands[name].params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            assert f"KUSCIA_HOOKS_{name}_{parameter.name}".upper() in text


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_example_has_valid_options(name: str) -> None:
    subcommand = cli.main.commands[name]
    words = re.split(r"[<>|]", (subcommand.epilog or "").split(f"kuscia-hooks {name}")[1])[0].split()
    subcommand.make_context(name, words)


def test_options_are_read_from_the_environment(
    command: CliRunner, core: FakeCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option, value in (("DOMAIN_ID", "alice"), ("NAMESPACE", "ns"), ("KEY_SECRET", "k"), ("CERT_CONFIGMAP", "c")):
        monkeypatch.setenv(f"KUSCIA_HOOKS_KEYS_{option}", value)
    monkeypatch.setenv("KUSCIA_HOOKS_KEYS_DRY_RUN", "true")
    result = command.invoke(cli.main, ["keys"])
    assert result.exit_code == 0, result.output
    assert "create Secret ns/k" in result.output
    assert core.objects == {}


def test_missing_cluster_credentials_exit_2(
    command: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail() -> None:
        raise PermanentError("invalid-cluster-login", "no kubeconfig")

    monkeypatch.setattr(cli.command, "connect", fail)
    monkeypatch.setattr(termination, "LOG", tmp_path / "log")
    (tmp_path / "log").touch()
    result = command.invoke(cli.main, [*KEYS, "--mode", "job"])
    assert result.exit_code == 2
    assert result.output.startswith("ERROR [invalid-cluster-login] keys: ")
    assert json.loads((tmp_path / "log").read_text())["error"] == "invalid-cluster-login"


class _Recorder:
    """A step that records its settings, and waits twice for something."""

    def __init__(self, configuration: list[str], change_at: int) -> None:
        self.seen: list[str] = []
        self._configuration, self._change_at = configuration, change_at

    def given(self) -> tuple["_Recorder", str]:
        return self, self._configuration[-1]

    def attempt(self, settings: str, context: Context) -> Outcome:
        self.seen.append(settings)
        if len(self.seen) == self._change_at:
            self._configuration.append("newer")
        if len(self.seen) < 3:
            raise RetryableError("master-down", "not yet")
        return Outcome("done")


@pytest.mark.parametrize(("change_at", "seen"), [(1, ["older", "newer", "newer"]), (3, ["older"] * 3 + ["newer"])])
def test_an_older_job_continues_with_newer_values(
    quick: FakeTime, monkeypatch: pytest.MonkeyPatch, change_at: int, seen: list[str]
) -> None:
    """`kubectl apply` leaves the Job of earlier values running next to the new one."""
    monkeypatch.setattr(cli.command, "connect", lambda: None)
    step = _Recorder(["older"], change_at)
    assert cli.command._run("register", step.given, 0, mode="job") == 0
    assert step.seen == seen
