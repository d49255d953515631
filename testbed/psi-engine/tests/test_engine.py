"""Two real engines on loopback, each with its own DataMesh, against an independent join of the CSVs."""

import csv
import json
import os
import random
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

Make = Callable[..., dict[str, Any]]
HELD_BACK = 1.0  # seconds; the link gives its first message two
ENGINE = Path(__file__).parents[1] / "src"
COLUMNS = {
    "alice": ["id1", "age", "job_blue-collar"],
    "bob": ["id2", "contact_cellular", "month_apr", "y"],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(directory: Path, name: str, issuer: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """Write NAME.crt and NAME.key; self-signed without an issuer (certificate, key)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    # As Kuscia's: no subject alternative name, no key identifiers.
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    (directory / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return made, key


class Party:
    """One party: its data directory, its certificates and its DataMesh (answers as recorded)."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.directory = name, directory
        self.data = directory / "data"
        self.data.mkdir(parents=True)
        self.domaindata: dict[str, dict[str, Any]] = {}
        self.sources = {"default-data-source": {"localfs": {"path": str(self.data)}, "oss": None}}
        authority = certificate(directory, "ca")
        certificate(directory, "server", authority)
        certificate(directory, "client", authority)
        party = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = json.dumps(party.answer(self.path.removeprefix("/api/v1/datamesh/"), body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "server.crt", directory / "server.key")
        context.load_verify_locations(directory / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        success = {"code": 0, "message": "success", "details": []}
        if path == "domaindata/query":
            id_ = body["domaindata_id"]
            if id_ in self.domaindata:
                return {"status": success, "data": self.domaindata[id_]}
            text = f'domaindatas.kuscia.secretflow "{id_}" not found'
            return {"status": {"code": 12201, "message": text, "details": []}, "data": None}
        if path == "domaindatasource/query":
            info = self.sources[body["datasource_id"]]
            kind = next(name for name, value in info.items() if value)
            return {
                "status": success,
                "data": {"datasource_id": body["datasource_id"], "type": kind, "info": info},
            }
        assert path == "domaindata/create", path
        self.domaindata[body["domaindata_id"]] = body | {"author": self.name}
        return {"status": success, "data": {"domaindata_id": body["domaindata_id"]}}

    def table(self, rows: list[list[str]]) -> None:
        """Put the party's table into its data source and register it."""
        with (self.data / f"{self.name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS[self.name], *rows])
        columns = [{"name": name, "type": "float" if index else "str", "comment": "", "not_nullable": False}
                   for index, name in enumerate(COLUMNS[self.name])]  # fmt: skip
        self.domaindata[f"{self.name}-table"] = {
            "domaindata_id": f"{self.name}-table", "name": f"{self.name}.csv", "type": "table",
            "relative_uri": f"{self.name}.csv", "datasource_id": "default-data-source",
            "columns": columns, "author": self.name,
        }  # fmt: skip

    def start(self, config: dict[str, Any]) -> subprocess.Popen[str]:
        path = self.directory / "task-config.conf"
        path.write_text(json.dumps(config))
        files = {
            "CLIENT_CERT_FILE": "client.crt",
            "CLIENT_PRIVATE_KEY_FILE": "client.key",
            "TRUSTED_CA_FILE": "ca.crt",
        }
        environment = os.environ | files | {"PYTHONPATH": str(ENGINE)}
        return subprocess.Popen(
            [sys.executable, "-m", "psi_engine", "task-config.conf",
             "--datamesh", f"https://127.0.0.1:{self.server.server_port}"],
            cwd=self.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, config: dict[str, Any]) -> tuple[int, str]:
        """Exit code and log of this party's engine alone."""
        process = self.start(config)
        log, _ = process.communicate(timeout=60)
        return process.returncode, log

    def result(self) -> list[list[str]]:
        with (self.data / "psi-output.csv").open(newline="") as file:
            return list(csv.reader(file))


@pytest.fixture
def parties(tmp_path: Path) -> Iterator[dict[str, Party]]:
    made = {name: Party(name, tmp_path / name) for name in ("alice", "bob")}
    yield made
    for party in made.values():
        party.server.shutdown()
        party.server.server_close()


def rows(name: str, seed: int, count: int) -> list[list[str]]:
    """`count` rows with ids 0 to count*1.2, ascending, with gaps; values as a CSV writer prints floats."""
    dice = random.Random(seed)
    ids = sorted(dice.sample(range(int(count * 1.2)), count))
    return [[str(id_), *(repr(dice.gauss(0, 1)) for _ in COLUMNS[name][1:])] for id_ in ids]


def configs(make_config: Make, input_: dict[str, Any]) -> dict[str, dict[str, Any]]:
    ports = {name: free_port() for name in ("alice", "bob")}
    endpoints = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return {name: make_config(name, input_, ports[name], endpoints) for name in ports}


def run_both(parties: dict[str, Party], configs_: dict[str, dict[str, Any]]) -> dict[str, tuple[int, str]]:
    """Exit code and log of each party's engine."""
    running = {name: party.start(configs_[name]) for name, party in parties.items()}
    ended = {}
    for name, process in running.items():
        log, _ = process.communicate(timeout=120)
        ended[name] = (process.returncode, log)
        # The library puts it there whatever TMPDIR says.
        for trace in re.findall(r"written to (/tmp/psi_\S+\.trace)", log):
            Path(trace).unlink()
    return ended


@pytest.mark.parametrize("protocol", ["PROTOCOL_RR22", "PROTOCOL_ECDH", "PROTOCOL_KKRT"])
def test_result_is_the_join_of_the_two_tables(
    parties: dict[str, Party], make_config: Make, make_input: Make, protocol: str
) -> None:
    tables = {name: rows(name, seed, 1200) for seed, name in enumerate(parties)}
    for name, party in parties.items():
        party.table(tables[name])
    ended = run_both(parties, configs(make_config, make_input(protocol={"s": protocol})))
    assert [code for code, _ in ended.values()] == [0, 0], ended

    common = {row[0] for row in tables["alice"]} & {row[0] for row in tables["bob"]}
    assert 0 < len(common) < 1200
    for name, party in parties.items():
        header, *found = party.result()
        expected = [row for row in tables[name] if row[0] in common]
        assert sorted(header) == sorted(COLUMNS[name])
        order = [header.index(column) for column in COLUMNS[name]]
        assert sorted([row[index] for index in order] for row in found) == sorted(expected)
        registered = party.domaindata["psi-output"]
        assert [(column["name"], column["type"]) for column in registered["columns"]] == [
            (column, "str" if column.startswith("id") else "float") for column in header
        ]
        assert (registered["type"], registered["relative_uri"]) == ("table", "psi-output.csv")
        assert party.domaindata["psi-report"]["type"] == "report"
        assert f"{len(common)} of 1200 own rows" in ended[name][1]
    # sort_result: row n of the one belongs to row n of the other.
    ids = [[row[party.result()[0].index(COLUMNS[name][0])] for row in party.result()[1:]]
           for name, party in parties.items()]  # fmt: skip
    assert ids[0] == ids[1]


@pytest.fixture
def slow_answers() -> Iterator[Callable[[int], int]]:
    """Opens a port that leads to another one of this machine and holds every connection's first answer back."""
    servers: list[socket.socket] = []

    def copy(source: socket.socket, sink: socket.socket, pause: float) -> None:
        with source, sink:
            while data := source.recv(65536):
                time.sleep(pause)
                pause = 0
                sink.sendall(data)

    def serve(server: socket.socket, port: int) -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            try:
                callee = socket.create_connection(("127.0.0.1", port))
            except OSError:
                caller.close()
                continue
            for args in ((caller, callee, 0.0), (callee, caller, HELD_BACK)):
                threading.Thread(target=copy, args=args, daemon=True).start()

    def open_to(port: int) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=serve, args=(server, port), daemon=True).start()
        return int(server.getsockname()[1])

    yield open_to
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def test_waits_for_a_late_peer(
    parties: dict[str, Party],
    make_config: Make,
    make_input: Make,
    slow_answers: Callable[[int], int],
) -> None:
    for seed, (name, party) in enumerate(parties.items()):
        party.table(rows(name, seed, 200))
    alice, bob = free_port(), free_port()
    seen_by = {"alice": {"bob": f"127.0.0.1:{bob}"}, "bob": {"alice": f"127.0.0.1:{slow_answers(alice)}"}}
    input_ = make_input()
    ports = {"alice": alice, "bob": bob}
    ended = run_both(parties, {name: make_config(name, input_, ports[name], seen_by[name]) for name in ports})
    assert [code for code, _ in ended.values()] == [0, 0], ended


def test_only_the_receiver_writes_a_result(parties: dict[str, Party], make_config: Make, make_input: Make) -> None:
    for seed, (name, party) in enumerate(parties.items()):
        party.table(rows(name, seed, 200))
    ended = run_both(parties, configs(make_config, make_input(receiver_parties={"ss": ["bob"]})))
    assert [code for code, _ in ended.values()] == [0, 0], ended
    assert "psi-output" in parties["bob"].domaindata
    assert parties["bob"].result()
    assert "psi-output" not in parties["alice"].domaindata
    assert not (parties["alice"].data / "psi-output.csv").exists()


def test_empty_intersection(parties: dict[str, Party], make_config: Make, make_input: Make) -> None:
    parties["alice"].table([["1", "2", "3"]])
    parties["bob"].table([["7", "2", "3", "1"]])
    ended = run_both(parties, configs(make_config, make_input()))
    for code, log in ended.values():
        assert code == 1
        assert "no row is common" in log
    assert "psi-output" not in parties["alice"].domaindata


def test_fails_when_the_peer_is_absent(parties: dict[str, Party], make_config: Make, make_input: Make) -> None:
    parties["alice"].table([["1", "2", "3"]])
    input_ = make_input()
    spu = input_["sf_cluster_desc"]["devices"][0]
    spu["config"] = json.dumps({"link_desc": {"connect_retry_times": 3, "connect_retry_interval_ms": 500}})
    log, _ = (process := parties["alice"].start(configs(make_config, input_)["alice"])).communicate(timeout=60)
    assert process.returncode == 1
    assert "bob was not reached at http://127.0.0.1:" in log


def test_fails_when_the_key_is_missing(parties: dict[str, Party], make_config: Make, make_input: Make) -> None:
    parties["alice"].table([["1", "2", "3"]])
    input_ = make_input(**{"input/input_ds1/keys": {"ss": ["uid"]}})
    log, _ = (process := parties["alice"].start(configs(make_config, input_)["alice"])).communicate(timeout=60)
    assert process.returncode == 1
    assert "key columns of the task: uid" in log


def test_fails_when_the_file_is_missing(parties: dict[str, Party], make_config: Make, make_input: Make) -> None:
    parties["alice"].table([])
    (parties["alice"].data / "alice.csv").unlink()
    log, _ = (process := parties["alice"].start(configs(make_config, make_input())["alice"])).communicate(timeout=60)
    assert process.returncode == 1
    assert "No such file" in log
    assert "use a data source of type oss" in log


def test_fails_without_certificates(tmp_path: Path, make_config: Make, make_input: Make) -> None:
    config = tmp_path / "task-config.conf"
    config.write_text(json.dumps(make_config("alice", make_input())))
    done = subprocess.run(
        [sys.executable, "-m", "psi_engine", str(config)],
        env={"PYTHONPATH": str(ENGINE)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no CLIENT_CERT_FILE, CLIENT_PRIVATE_KEY_FILE, TRUSTED_CA_FILE in the environment" in done.stderr
