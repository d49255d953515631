"""Nodes of the stand-in as processes on loopback, for tests that need a whole master or lite."""

import contextlib
import http.server
import itertools
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim import credentials
from kuscia_sim.faults.injector import VARIABLE

SIM = Path(__file__).parents[2]
MASTER_ID = "kuscia-system"
PORTS = (53, 80, 1054, 1080, 6443, 8070, 8082, 8092, 9091, 10000, 10002)
START_TIMEOUT = 90.0


OFFSETS = range(11000, 22700, 37)  # below the ports of outgoing connections
_handed_out: set[int] = set()
_reservations: list[socket.socket] = []


def free_offset() -> int:
    """Return an offset at which a node's ports are free on 127.0.0.1, reserved for this process.

    A restarted node needs its ports again, which another process must not get in the meantime.
    """
    first = os.getpid() % len(OFFSETS)
    for offset in itertools.chain(OFFSETS[first:], OFFSETS[:first]):
        wanted = {port + offset for port in PORTS}
        if wanted & _handed_out or not all(map(_is_free, wanted)) or not _reserve(offset):
            continue
        _handed_out.update(wanted)
        return offset
    raise RuntimeError("no free ports on 127.0.0.1")


def _reserve(offset: int) -> bool:
    """Bind the port `offset`, which no node uses, until this process ends; tell whether it was free."""
    reservation = socket.socket()
    try:
        reservation.bind(("127.0.0.1", offset))
    except OSError:
        reservation.close()
        return False
    _reservations.append(reservation)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Node:
    """One `kuscia start` below `home`; its configuration may be changed between starts."""

    def __init__(self, home: Path, config: dict[str, Any], offset: int, key: RSAPrivateKey | None = None) -> None:
        self.home = home
        self.offset = offset
        self.key = key or credentials.new_key()
        self.config: dict[str, Any] = {
            "domainKeyData": credentials.b64(credentials.key_pem(self.key)),
            **config,
        }
        self.domain_id = str(self.config.get("domainID", ""))
        self.hostname = f"host-{self.domain_id or 'none'}"
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def port(self, number: int) -> int:
        return number + self.offset

    def set_faults(self, faults: list[dict[str, Any]]) -> None:
        """Set the faults from now on (kuscia_sim.faults); first call before the first start."""
        path = self.home.with_suffix(".faults.yaml")
        self.environment[VARIABLE] = str(path)
        path.with_suffix(".new").write_text(yaml.safe_dump(faults))
        path.with_suffix(".new").rename(path)

    @property
    def gateway(self) -> str:
        scheme = "http" if self.config.get("protocol") == "NOTLS" else "https"
        return f"{scheme}://127.0.0.1:{self.port(1080)}"

    def start(self, *wrapper: str) -> "Node":
        """Start the node; `wrapper` is a command that runs it."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "kuscia.yaml").write_text(yaml.safe_dump(self.config))
        environment = {
            **os.environ,
            "PYTHONPATH": str(SIM / "src"),
            "KUSCIA_SIM_BIND": "127.0.0.1",
            "KUSCIA_SIM_PORT_OFFSET": str(self.offset),
            "KUSCIA_SIM_HOSTNAME": self.hostname,
            "KUSCIA_SIM_HOME": str(self.home),
            **self.environment,
        }
        with (self.home / "output.log").open("wb") as output:
            self._process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "kuscia_sim", "start", "-c", "kuscia.yaml"],
                cwd=self.home,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def output(self) -> str:
        return (self.home / "output.log").read_text(errors="replace")

    def wait_for(self, text: str, timeout: float = START_TIMEOUT) -> None:
        """Wait until the output contains `text`; fail the test on timeout or if the node ends first."""
        assert self._process
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if text in self.output():
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(f"{self.hostname} did not say {text!r}:\n" + self.output()[-4000:])

    def wait_started(self) -> "Node":
        self.wait_for("Kuscia started success")
        return self

    def wait_exit(self, timeout: float = START_TIMEOUT) -> int:
        assert self._process
        return self._process.wait(timeout)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the node and return its exit status."""
        assert self._process
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def api(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the node's KusciaAPI."""
        scheme = "http" if self.config.get("protocol") == "NOTLS" else "https"
        request = urllib.request.Request(
            f"{scheme}://127.0.0.1:{self.port(8082)}/api/v1/{path}",
            json.dumps(body).encode(),
            {"Token": credentials.api_token(self.key, self.domain_id), "Content-Type": "application/json"},
        )
        context = ssl._create_unverified_context()
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found


def unused_token(master: Node, domain_id: str) -> str:
    """Return the deploy token of a domain as soon as there is one."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        data = master.api("domain/query", {"domain_id": domain_id})["data"]
        for entry in data["deploy_token_statuses"]:
            if entry["state"] == "unused":
                return str(entry["token"])
        time.sleep(0.1)
    raise AssertionError(f"no unused deploy token for {domain_id}")


def route_state(master: Node, source: str, destination: str) -> tuple[str, str]:
    """Return status and reason of a route from KusciaAPI."""
    keys = [{"source": source, "destination": destination}]
    answer = master.api("route/status/batchQuery", {"route_keys": keys})
    status = answer["data"]["routes"][0]["status"]
    return status["status"], status["reason"]


def wait_route(
    master: Node, source: str, destination: str, status: str, reason: str = "", timeout: float = 60
) -> float:
    """Wait until a route has a status and its reason contains `reason`; return the seconds."""
    began = time.monotonic()
    seen: tuple[str, str] = ("", "")
    while time.monotonic() < began + timeout:
        seen = route_state(master, source, destination)
        if seen[0] == status and reason in seen[1]:
            return time.monotonic() - began
        time.sleep(0.2)
    raise AssertionError(f"route {source}-{destination} is {seen}, not {status} {reason}")


def create_route(
    master: Node, source: str, destination: Node, options: dict[str, Any] | None = None, **endpoint: Any
) -> None:
    """Create a route to a node's gateway.

    Args:
        options: fields of the request that differ from the default.
        endpoint: host, port, tls, path_prefix, where they differ from those of the node.
    """
    port = {
        "name": "http",
        "protocol": "HTTP",
        "port": endpoint.get("port", destination.port(1080)),
        "isTLS": endpoint.get("tls", destination.gateway.startswith("https")),
        "path_prefix": endpoint.get("path_prefix", ""),
    }
    answer = master.api(
        "route/create",
        {
            "source": source,
            "destination": destination.domain_id,
            "authentication_type": "Token",
            "endpoint": {"host": endpoint.get("host", "127.0.0.1"), "ports": [port]},
            "token_config": {"token_gen_method": "RSA-GEN"},
            **(options or {}),
        },
    )
    assert answer["status"]["code"] == 0, answer


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers every request with what it received."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
        seen = {"path": self.path, "size": size, "headers": {k.lower(): v for k, v in self.headers.items()}}
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Discard the message."""


@contextlib.contextmanager
def engine_server() -> Iterator[int]:
    """Run an engine on loopback and yield its port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


def request(
    node: Node,
    host: str,
    body: bytes = b"",
    path: str = "/a?b=c",
    headers: dict[str, str] | None = None,
    port: int = 80,
) -> tuple[int, dict[str, str], bytes]:
    """Send a request to the node's internal gateway, or to `port`, as an engine does."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{node.port(port)}{path}", body, {"Host": host, **(headers or {})}, method="POST"
    )
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as err:
        return err.code, {k.lower(): v for k, v in err.headers.items()}, err.read()


def offer(node: Node, name: str, port: int, scope: str = "Cluster") -> None:
    """Store the endpoint of a running engine in the domain's namespace, as the agent does."""
    spec = {"host": f"{name}.{node.domain_id}.svc", "ip": "127.0.0.1", "port": port, "scope": scope}
    body = json.dumps({"spec": {**spec, "protocol": "HTTP", "task": name}}).encode()
    path = f"/sim/v1/objects/endpoints/{node.domain_id}/{name}"
    status, _, answer = request(node, "apiserver.master.svc", body, path, {"Content-Type": "application/json"})
    assert status == 200, answer


def until(condition: Callable[[], bool], timeout: float = 15) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "condition did not come true in time"
        time.sleep(0.1)
