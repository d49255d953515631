"""The node's DNS rules (Kuscia facts 0.1, 0.2, 16.4)."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from kuscia_sim.node import dns, host
from kuscia_sim.node.host import Host, HostIPUnknown, interface_ip, nameservers, take_over_resolv_conf

POD = "10.244.0.9"
# A loopback address that nothing else uses, so that a port that is free for UDP is free for TCP as well.
LISTEN = "127.53.0.1"
OWN = frozenset({"job-0-psi.alice.svc"})
NAMES = dns.Names("alice", POD, lambda: OWN)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("job-0-psi.bob.svc.", POD),
        ("apiserver.master.svc", POD),
        ("kuscia-master.kuscia-master.svc", POD),
        ("job-0-psi.alice.svc", POD),
        ("JOB-0-PSI.Alice.SVC.", POD),
        ("other.alice.svc", None),
        ("datamesh.alice.svc", None),
        ("datamesh", POD),
        ("kuscia-master.kuscia-master.svc.cluster.local", None),
        ("mysql", None),
    ],
)
def test_answers_by_name_rules(name: str, answer: str | None) -> None:
    assert NAMES.answer(name) == answer


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a resolver behind the node with one name; return the names it was asked for."""
    asked: list[str] = []

    async def answer(query: bytes, servers: list[str], tcp: bool = False) -> bytes | None:
        request = DNSRecord.parse(query)
        asked.append(str(request.q.qname))
        reply = request.reply()
        if str(request.q.qname) == "db.example.":
            reply.add_answer(RR("db.example", QTYPE.A, rdata=A("10.1.2.3"), ttl=30))
        elif str(request.q.qname) == "down.example.":
            return None
        else:
            reply.header.rcode = RCODE.NXDOMAIN
        return bytes(reply.pack())

    monkeypatch.setattr(dns, "forward", answer)
    return asked


async def test_serves_udp_and_tcp(upstream: list[str]) -> None:
    server = dns.Server(NAMES, ["192.0.2.1"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((LISTEN, 0))
        port = free.getsockname()[1]
    await server.start(LISTEN, port)
    try:
        for ask in (_udp, _tcp):
            own = await ask(port, "x.bob.svc")
            assert [str(record.rdata) for record in own.rr] == [POD]
            assert (await ask(port, "x.bob.svc", "AAAA")).rr == []
            assert [str(r.rdata) for r in (await ask(port, "db.example")).rr] == ["10.1.2.3"]
            assert (await ask(port, "mysql")).header.rcode == RCODE.NXDOMAIN
            assert (await ask(port, "short.svc")).header.rcode == RCODE.SERVFAIL
            assert (await ask(port, "down.example")).header.rcode == RCODE.SERVFAIL
        assert "mysql." in upstream
        assert not any(name.endswith("svc.") for name in upstream)
    finally:
        await server.stop()


async def test_lookup_errors_have_texts_of_go(upstream: list[str]) -> None:
    resolver = dns.Resolver(NAMES, ["192.0.2.1"], f"{POD}:53")
    assert await resolver.lookup("10.0.0.7") == "10.0.0.7"
    assert await resolver.lookup("db.example") == "10.1.2.3"
    assert await resolver.lookup("mysql.db.svc") == POD
    with pytest.raises(dns.NoSuchHost, match=f"lookup mysql on {POD}:53: no such host"):
        await resolver.lookup("mysql")


def test_reads_hosts_file(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("::1 localhost\n127.0.0.1 localhost me # you\n")
    assert dns.hosts_file_address("me", path) == "127.0.0.1"
    assert dns.hosts_file_address("you", path) is None


@pytest.fixture
def pod(tmp_path: Path) -> Host:
    return Host(tmp_path, "0.0.0.0", 0, "pod", POD, in_image=True)


def test_replaces_resolv_conf_once(pod: Host, tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("search a b\nnameserver 10.96.0.10\noptions ndots:5\n")
    kept = take_over_resolv_conf(pod, path)
    assert kept == tmp_path / "var/tmp/resolv.conf"
    assert path.read_text() == f"nameserver {POD}\n"
    assert nameservers(kept) == ["10.96.0.10"]
    assert take_over_resolv_conf(pod, path) == kept, "a container that restarts"
    assert nameservers(kept) == ["10.96.0.10"]


def test_keeps_resolv_conf_outside_image(tmp_path: Path) -> None:
    host = Host(tmp_path, "127.0.0.1", 0, "me", "127.0.0.1", in_image=False)
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 10.96.0.10\n")
    assert take_over_resolv_conf(host, path) == path
    assert path.read_text() == "nameserver 10.96.0.10\n"


def test_reads_host_from_environment() -> None:
    host = Host.from_environment({"KUSCIA_SIM_BIND": "127.0.0.1", "KUSCIA_SIM_PORT_OFFSET": "20000"})
    assert (host.port(1080), host.pod_ip, host.in_image) == (21080, "127.0.0.1", False)
    moved = Host.from_environment({"KUSCIA_SIM_BIND": "127.0.0.1", "KUSCIA_SIM_IN_IMAGE": "1"})
    assert not moved.in_image, "the image's files are the pod's only when all interfaces are"


async def _udp(port: int, name: str, kind: str = "A") -> DNSRecord:
    query = DNSRecord.question(name, kind).pack()

    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(5)
            sock.sendto(query, (LISTEN, port))
            return sock.recv(4096)

    return DNSRecord.parse(await asyncio.to_thread(ask))


async def _tcp(port: int, name: str, kind: str = "A") -> DNSRecord:
    query = DNSRecord.question(name, kind).pack()
    reader, writer = await asyncio.open_connection(LISTEN, port)
    writer.write(struct.pack("!H", len(query)) + query)
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    answer = await reader.readexactly(length)
    writer.close()
    return DNSRecord.parse(answer)


def test_requires_eth0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "INTERFACES", ("nosuch0",))
    with pytest.raises(HostIPUnknown, match=r"^host IP unknown$"):
        interface_ip()
