"""Output and exit status on errors, as recorded from Kuscia.

Each case names the recording in recordings/startup-cases and its decisive lines.
"""

import base64
import http.server
import os
import re
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kuscia_hooks.inspect.finding import match_log
from kuscia_hooks.inspect.known.kuscia import KUSCIA
from kuscia_sim import credentials
from kuscia_sim.node.admission import POLL_TIMEOUT
from kuscia_sim.node.start import is_privileged
from kuscia_sim_testing.nodes import MASTER_ID, SIM, START_TIMEOUT, Node, free_offset, until, unused_token

STARTUP_CASES = SIM / "recordings/startup-cases"
CAPACITY = {"cpu": "4", "memory": "8Gi", "storage": "100Gi"}


def lite_config(domain_id: str, endpoint: str, token: str = "garbage", **more: Any) -> dict[str, Any]:
    return {
        "mode": "lite",
        "domainID": domain_id,
        "protocol": "NOTLS",
        "masterEndpoint": endpoint,
        "liteDeployToken": token,
        "runtime": "runp",
        **more,
    }


def recorded(name: str, pattern: str) -> str:
    """Return the one line of a recording that matches, without its time stamp."""
    lines = (STARTUP_CASES / f"{name}.log").read_text().splitlines()
    found = [re.sub(r"^[\d-]+ [\d:.]+ ", "", line) for line in lines if re.search(pattern, line)]
    assert found, f"{pattern!r} is not in {name}.log"
    return found[-1]


def cause(output: str) -> str | None:
    """Return what `doctor` finds in a log."""
    names = dict.fromkeys(
        ("upgrade", "master_upgrade", "restart", "release", "namespace", "fullname", "node", "domain", "gateway",
         "key_secret", "engines", "pod", "db_secret", "db_user", "db_host", "value", "endpoint", "swapped",
         "create_database", "endpoint_value", "peer_namespace"),
        "",
    )  # fmt: skip
    found = match_log(output, KUSCIA, names, "")
    return found and found.id


def same_cause(name: str, output: str) -> bool:
    """Tell whether `doctor` finds the same cause in the stand-in's log as in Kuscia's."""
    real = cause((STARTUP_CASES / f"{name}.log").read_text())
    return real is not None and cause(output) == real


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Any]:
    nodes: list[Node] = []

    def start(config: dict[str, Any], key: Any = None, wrapper: tuple[str, ...] = ()) -> Node:
        node = Node(tmp_path / f"node{len(nodes)}", config, free_offset(), key)
        nodes.append(node)
        return node.start(*wrapper)

    yield start
    for node in nodes:
        node.stop()


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    config = {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}
    node = Node(tmp_path_factory.mktemp("master"), config, free_offset()).start().wait_started()
    yield node
    node.stop()


@pytest.mark.parametrize(
    ("recording", "config", "line"),
    [
        ("badmode", {"mode": "bogus", "domainID": "carl"}, "Load kuscia config failed"),
        ("noid", {"mode": "lite"}, "Load kuscia config failed"),
        ("reserved", {"mode": "lite", "domainID": "master"}, "Domain id can't be"),
    ],
)
def test_rejects_configuration_at_once(run: Any, recording: str, config: Any, line: str) -> None:
    node = run(config)
    assert node.wait_exit() == 1
    said = node.output().splitlines()
    wanted = recorded(recording, line).replace("etc/conf/kuscia.yaml", "kuscia.yaml")
    assert said[-1] == wanted
    assert said[0] == "Kuscia config file watcher start, config file: kuscia.yaml."
    assert same_cause(recording, node.output())


def test_rejects_empty_protocol(run: Any) -> None:
    node = run({"mode": "master", "domainID": MASTER_ID, "protocol": ""})
    assert node.wait_exit() == 1
    assert "is unsupported" in node.output()


def test_reports_key_that_is_not_base64(run: Any) -> None:
    node = run({"mode": "master", "domainID": MASTER_ID, "domainKeyData": "not base64!"})
    assert node.wait_exit() == 1
    assert "FATAL modules/runtime.go:195 illegal base64 data at input byte 3" in node.output()
    assert "ERROR tls/crypt.go:310 Decoded keyData error: illegal base64 data at input byte 3" in node.output()
    assert same_cause("badkey", node.output())
    assert recorded("badkey", "FATAL").startswith("FATAL modules/runtime.go:195 illegal base64 data at input byte")


@pytest.mark.parametrize(
    ("pem", "line"),
    [
        (b"no key", "load key data failed: invalid private key, should be PEM block format, try key file"),
        (b"", "load key file failed: open {home}/var/certs/ca.key: no such file or directory"),
    ],
)
def test_master_without_key_logs_fatal(run: Any, pem: bytes, line: str) -> None:
    node = run({"mode": "master", "domainID": MASTER_ID, "domainKeyData": base64.b64encode(pem).decode()})
    assert node.wait_exit() == 1
    said = node.output()
    assert line.format(home=node.home) in said
    assert f"ERROR modules/runtime.go:72 load key failed: key: {'false' if pem else 'true'}, file: {node.home}" in said
    assert said.rstrip().endswith("FATAL modules/runtime.go:195 can't parse key")
    assert same_cause("badkey", said)


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("", "Domain key data is empty. Please provide a valid domainKeyData."),
        ("not base64!", "Load domain key file error: illegal base64 data at input byte 3"),
        ("bm8ga2V5", "Decode domain key data error: can't parse key"),
    ],
)
def test_lite_without_key_exits_before_log(run: Any, data: str, line: str) -> None:
    """Printed before the log is set up: without time and level."""
    node = run(lite_config("carl", "http://127.0.0.1:1", domainKeyData=data))
    assert node.wait_exit() == 1
    assert node.output().splitlines()[-1] == line
    assert same_cause("badkey", node.output())


def test_runc_requires_privileges(run: Any) -> None:
    wrapper = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin") if os.geteuid() == 0 else ()
    node = run(lite_config("carl", "http://127.0.0.1:1", runtime="runc"), wrapper=wrapper)
    assert node.wait_exit() == 1
    for line in ("Runc must run", "Please run kuscia like"):
        assert recorded("runc", line) in node.output()
    assert node.output().endswith("Error: permission is error\npermission is error\n")
    assert same_cause("runc", node.output())


@pytest.mark.parametrize(
    ("effective", "enough"),
    [("00000003ffffffff", True), ("000001ffffffffff", True), ("000001fffeffffff", False), ("0000000000000000", False)],
)
def test_is_privileged_requires_all_capabilities(effective: str, enough: bool) -> None:
    assert is_privileged(effective) is enough
    assert not is_privileged(recorded("runc", "CapEff").rpartition("=")[2])


def test_reports_unresolvable_master_endpoint(run: Any) -> None:
    url = "http://nosuch.kuscia-x-master.svc.cluster.local:1080"
    node = run(lite_config("carl", url))
    assert node.wait_exit() == 0
    said = node.output()
    wanted = recorded("badendpoint", "domainroute is finished")
    assert wanted.partition(" on ")[0] in said
    assert "no such host" in said
    assert said.rstrip().endswith("Kuscia Instance [carl] shut down")
    assert same_cause("badendpoint", said)


def test_reports_https_to_plain_gateway(run: Any, master: Node) -> None:
    url = master.gateway.replace("http:", "https:")
    node = run(lite_config("carl", url))
    assert node.wait_exit() == 0
    wanted = recorded("https-to-http", "domainroute is finished")
    recorded_url = "https://kuscia-master.kuscia-x-master.svc.cluster.local:1080"
    assert wanted.replace(recorded_url, url) in node.output()
    assert same_cause("https-to-http", node.output())


def test_reports_closed_master_endpoint(run: Any) -> None:
    node = run(lite_config("carl", "http://127.0.0.1:1"))
    assert node.wait_exit() == 0
    assert "dial tcp 127.0.0.1:1: connect: connection refused" in node.output()


class _GatewayOnly(http.server.BaseHTTPRequestHandler):
    """A gateway that rejects everything; `asked` contains the paths."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(401)
        self.send_header("kuscia-error-message", "unauthorized.")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Discard the message."""


def test_probes_gateway_once_then_waits(run: Any) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _GatewayOnly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        node = run(lite_config("carl", f"http://127.0.0.1:{server.server_address[1]}"))
        until(lambda: node.output().count("wait for retry") >= 3, START_TIMEOUT)
        assert (_GatewayOnly.asked.count("/"), POLL_TIMEOUT) == (1, 300)
        assert node.stop() == 0
    finally:
        server.shutdown()


def test_reports_unknown_domain(run: Any, master: Node) -> None:
    node = run(lite_config("dora", master.gateway))
    assert node.wait_exit() == 0
    assert recorded("unknown-domain", "domainroute is finished") in node.output()
    assert node.output().count("detail -> domain [dora] not found\n)") == 5
    assert same_cause("unknown-domain", node.output())


def test_wrong_token_with_new_and_old_key(run: Any, master: Node) -> None:
    master.api("domain/create", {"domain_id": "carl"})
    token = unused_token(master, "carl")
    first_key = credentials.new_key()
    first = run(lite_config("carl", master.gateway, token), first_key).wait_started()
    assert first.stop() == 0

    used = run(lite_config("carl", master.gateway, token))
    wrong = run(lite_config("carl", master.gateway, "garbage"))
    assert (used.wait_exit(), wrong.wait_exit()) == (0, 0)
    assert "deploy token found but used, please use an unused deploy token" in used.output()
    assert recorded("badtoken-newkey", "domainroute is finished") in wrong.output()
    assert "garbage" not in wrong.output()
    assert same_cause("badtoken-newkey", wrong.output())

    same_key = run(lite_config("carl", master.gateway, "garbage"), first_key)
    same_key.wait_started()
    # The recorded one then waits for a master that had just restarted (Kuscia facts 16.2).
    admitted = r"path\(/register\).*err\(<nil>\)"
    assert recorded("badtoken-samekey", admitted)
    assert re.search(admitted, same_key.output())
    assert same_key.stop() == 0

    fresh = run(lite_config("carl", master.gateway, unused_token(master, "carl"))).wait_started()
    assert fresh.stop() == 0


def test_reports_unavailable_datastore(run: Any) -> None:
    dsn = "mysql://kuscia:secret-of-the-test@tcp(127.0.0.1:1)/kuscia"
    node = run({"mode": "master", "domainID": MASTER_ID, "datastoreEndpoint": dsn})
    assert node.wait_exit() == 0
    wanted = recorded("dbdown", "modules/k3s.go:114").replace("10.88.0.1:13399", "127.0.0.1:1")
    assert wanted in node.output()
    assert "secret-of-the-test" not in node.output()
    assert same_cause("dbdown", node.output())


class RefusingMySQL(socketserver.BaseRequestHandler):
    """A MySQL server that rejects the login: greeting (protocol 10), login, error packet."""

    refusal: bytes

    def handle(self) -> None:
        greeting = (
            b"\x0a8.0.36\x00" + (1).to_bytes(4, "little") + b"12345678\x00" + b"\xff\xf7" + b"\x2d" + b"\x02\x00"
            + b"\x08\x00" + b"\x15" + b"\x00" * 10 + b"123456789012\x00" + b"mysql_native_password\x00"
        )  # fmt: skip
        self._send(0, greeting)
        length = int.from_bytes(self.request.recv(4)[:3], "little")
        while length > 0:
            length -= len(self.request.recv(length))
        self._send(2, self.refusal)

    def _send(self, number: int, packet: bytes) -> None:
        self.request.sendall(len(packet).to_bytes(3, "little") + bytes([number]) + packet)


@pytest.mark.parametrize(
    ("recording", "code", "state", "text"),
    [
        ("badpw", 1045, b"28000", "Access denied for user 'kuscia'@'10.244.0.87' (using password: YES)"),
        ("nodb", 1049, b"42000", "Unknown database 'nosuchdb'"),
        ("dashdb", 1049, b"42000", "Unknown database 'bad-name'"),
    ],
)
def test_reports_datastore_login_failure(run: Any, recording: str, code: int, state: bytes, text: str) -> None:
    packet = b"\xff" + code.to_bytes(2, "little") + b"#" + state + text.encode()
    handler = type("Handler", (RefusingMySQL,), {"refusal": packet})
    with socketserver.TCPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        dsn = f"mysql://kuscia:secret-of-the-test@tcp(127.0.0.1:{server.server_address[1]})/kuscia"
        node = run({"mode": "master", "domainID": MASTER_ID, "datastoreEndpoint": dsn})
        # nodb.log ends in "not graceful exit" (1): its node exporter did not end in time. The cause is the same.
        assert node.wait_exit() == 0
        server.shutdown()
    assert recorded(recording, "modules/k3s.go:114") in node.output()
    assert recorded(recording, r"\[Module\] k3s is finished") in node.output()
    assert node.output().rstrip().endswith(f"Kuscia Instance [{MASTER_ID}] shut down")
    assert "secret-of-the-test" not in node.output()
    assert same_cause(recording, node.output())


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        ("oracle://x", "Driver Name is 'oracle' Not supported"),
        ("kuscia:pw@tcp(db:3306)/kuscia", "expected format: mysql://"),
        ("mysql://kuscia:pw@tcp(db:3306)", "missing the slash"),
    ],
)
def test_rejects_invalid_datastore_endpoint(run: Any, endpoint: str, text: str) -> None:
    node = run({"mode": "master", "domainID": MASTER_ID, "datastoreEndpoint": endpoint})
    assert node.wait_exit() == 0
    assert text in node.output()


K3S_ENDED = re.compile(
    r"\[Module\] k3s is finished with err=startup process failed at first time, so stop at once, error: "
    r"process \[k3s\]\[\d+\] only existed \d+ ms, less than 3000 ms, with error: exit status 1"
)


def gave_up(node: Node) -> None:
    """Check the graceful exit of a failed module, with the output of K3s and the text of earlier versions."""
    assert node.wait_exit() == 0
    said = node.output()
    assert K3S_ENDED.search(said)
    sentence = "startup process failed at first time, so stop at once, error: process ["
    assert sentence in recorded("badendpoint", "envoy is finished with err")
    assert "[k3s] Log content:" in said
    assert "bootstrap data already found and encrypted with different token" in said
    assert "etc/kubeconfig: no such file or directory" in said
    assert "FATAL" not in said
    assert said.rstrip().endswith(f"Kuscia Instance [{node.config['domainID']}] shut down")
    assert cause(said) == "state-of-another-domain"


def test_rejects_state_of_another_domain(run: Any) -> None:
    node = run({"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS"}).wait_started()
    assert node.stop() == 0
    node.config["domainID"] = "other-master"
    node.start()
    gave_up(node)


def test_rejects_state_of_another_cluster_token(run: Any) -> None:
    """A changed token ends K3s as another domain does; with the previous one the state is complete."""
    config = {"mode": "master", "domainID": MASTER_ID, "protocol": "NOTLS", "clusterToken": "former-token"}
    node = run(config).wait_started()
    node.api("domain/create", {"domain_id": "alice"})
    assert node.stop() == 0
    node.config["clusterToken"] = "changed-token"
    node.start()
    gave_up(node)
    assert "-token" not in node.output()
    node.config["clusterToken"] = "former-token"
    node.start().wait_started()
    assert node.api("domain/query", {"domain_id": "alice"})["data"]["domain_id"] == "alice"


def test_reports_agent_start_failure(run: Any, master: Node) -> None:
    runk = {"runtime": "runk", "capacity": CAPACITY}
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "no-runtime": ({"runtime": ""}, "unknown runtime"),
        "no-capacity": ({"runtime": "runk"}, "capacity config is empty"),
        "no-cluster": ({**runk, "runk": {"namespace": "x"}}, "failed to get in cluster config"),
        "no-kubeconfig": (
            {**runk, "runk": {"namespace": "x", "kubeconfigFile": "/nonexistent"}},
            "/nonexistent",
        ),
    }
    nodes = {}
    for domain_id, (more, _) in cases.items():
        master.api("domain/create", {"domain_id": domain_id})
        token = unused_token(master, domain_id)
        nodes[domain_id] = run(lite_config(domain_id, master.gateway, token, **more))
    for domain_id, node in nodes.items():
        assert node.wait_exit() == 0
        ends = [line for line in node.output().splitlines() if "[Module] agent is finished with err=" in line]
        assert cases[domain_id][1] in ends[0]
        assert "Kuscia started success" not in node.output()


def test_master_starts(run: Any) -> None:
    node = run({"mode": "MASTER", "domainID": MASTER_ID, "noSuchKey": {"a": 1}}).wait_started()
    said = node.output()
    for pattern in (
        "Kuscia 'datastoreEndpoint' config is empty",
        "k3s is ready now",
        "all modules are startup",
    ):
        assert recorded("sqlite", pattern) in said
    assert node.stop() == 0
    assert node.output().rstrip().endswith(f"Kuscia Instance [{MASTER_ID}] shut down")


def test_every_recording_is_used() -> None:
    text = Path(__file__).read_text()
    assert {path.stem for path in STARTUP_CASES.glob("*.log") if f'"{path.stem}"' not in text} == set()
