"""The node's DNS server, which its pod and its engines use (Kuscia facts 0.1, 0.2, 16.4).

Names that end in `.svc` belong to Kuscia's services: those of other domains resolve to the pod's address, where the
gateway accepts the connection; those of the own domain only if they exist. A few short names are served as well.
Everything else is forwarded unchanged to the pod's original nameservers; search domains are not applied.
"""

import asyncio
import ipaddress
import struct
from collections.abc import Callable
from pathlib import Path
from typing import cast

from dnslib import QTYPE, RCODE, RR, A, DNSError, DNSHeader, DNSQuestion, DNSRecord

from kuscia_sim.log import Log

SHORT_NAMES = frozenset({"datamesh"})
TTL = 5
FORWARD_TIMEOUT = 2.0
HOSTS_FILE = Path("/etc/hosts")

log = Log(__name__)


class NoSuchHost(OSError):
    """The name has no IPv4 address; str() is the text of Go's resolver."""


class InvalidServiceName(Exception):
    """A `.svc` name with fewer than three labels, which Kuscia's plugin answers with an error."""


class Names:
    """The names that a node answers itself.

    `services()` returns the host names of the own domain's services, such as "task-0-psi.alice.svc".
    """

    def __init__(self, domain_id: str, pod_ip: str, services: Callable[[], frozenset[str]]) -> None:
        self._domain_id = domain_id
        self._pod_ip = pod_ip
        self._services = services

    def answer(self, name: str) -> str | None:
        """Return the address for `name`, or None if the node does not answer it.

        Raises:
            InvalidServiceName: the name is not a valid service name.
        """
        name = name.rstrip(".").lower()
        if not name.endswith(".svc"):
            return self._pod_ip if name in SHORT_NAMES else None
        labels = name.split(".")
        if len(labels) < 3:
            raise InvalidServiceName(name)
        if labels[-2] != self._domain_id or name in self._services():
            return self._pod_ip
        return None


class Resolver:
    """Resolves names as the node's processes do: by its DNS rules, then through the forwarders."""

    def __init__(self, names: Names, forwarders: list[str], server: str) -> None:
        self._names = names
        self.forwarders = forwarders
        self._server = server

    async def lookup(self, host: str) -> str:
        """Return an IPv4 address of `host`.

        Raises:
            NoSuchHost: it has none.
        """
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            pass
        in_file = hosts_file_address(host)
        if in_file:
            return in_file
        try:
            own = self._names.answer(host)
        except InvalidServiceName as err:
            raise NoSuchHost(f"lookup {host} on {self._server}: server misbehaving") from err
        if own:
            return own
        answer = await forward(DNSRecord.question(host).pack(), self.forwarders)
        if answer:
            for record in DNSRecord.parse(answer).rr:
                if record.rtype == QTYPE.A:
                    return str(record.rdata)
        raise NoSuchHost(f"lookup {host} on {self._server}: no such host")


def hosts_file_address(host: str, path: Path = HOSTS_FILE) -> str | None:
    """Return the first IPv4 address of `host` in the hosts file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.partition("#")[0].split()
        if host in words[1:] and ":" not in words[0]:
            return words[0]
    return None


async def forward(query: bytes, servers: list[str], tcp: bool = False) -> bytes | None:
    """Return the first answer of `servers` (port 53) to the packed `query`, or None."""
    for server in servers:
        try:
            async with asyncio.timeout(FORWARD_TIMEOUT):
                return await (_ask_tcp if tcp else _ask_udp)(query, server)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            continue
    return None


class _Answer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if not self.received.done():
            self.received.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.received.done():
            self.received.set_exception(exc)


async def _ask_udp(query: bytes, server: str) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(_Answer, remote_addr=(server, 53))
    try:
        transport.sendto(query)
        return await protocol.received
    finally:
        transport.close()


async def _ask_tcp(query: bytes, server: str) -> bytes:
    reader, writer = await asyncio.open_connection(server, 53)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


class Server(asyncio.DatagramProtocol):
    """Serves `names` and forwards the rest, over UDP and TCP."""

    def __init__(self, names: Names, forwarders: list[str]) -> None:
        self._names = names
        self._forwarders = forwarders
        self._transport: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, bind: str, port: int) -> None:
        """Start to listen.

        Raises:
            OSError: the port cannot be bound.
        """
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(bind, port))
        self._tcp = await asyncio.start_server(self._serve_tcp, bind, port)

    async def stop(self) -> None:
        if self._transport:
            self._transport.close()
        if self._tcp:
            self._tcp.close()
        for task in list(self._tasks):
            task.cancel()

    async def respond(self, query: bytes, tcp: bool = False) -> bytes | None:
        """Return the packed answer to a packed query, or None for invalid data."""
        try:
            request = DNSRecord.parse(query)
        except DNSError:
            return None
        question: DNSQuestion = request.q
        name = str(question.qname)
        reply = request.reply()
        try:
            address = self._names.answer(name)
        except InvalidServiceName:
            reply.header.rcode = RCODE.SERVFAIL
            return bytes(reply.pack())
        if address is None:
            answer = await forward(query, self._forwarders, tcp)
            return answer if answer is not None else _failure(request)
        if question.qtype in (QTYPE.A, QTYPE.ANY):
            reply.add_answer(RR(question.qname, QTYPE.A, rdata=A(address), ttl=TTL))
        return bytes(reply.pack())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        task = asyncio.create_task(self._serve_udp(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_udp(self, query: bytes, addr: tuple[str | object, int]) -> None:
        answer = await self.respond(query)
        if answer and self._transport and not self._transport.is_closing():
            self._transport.sendto(answer, addr)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                answer = await self.respond(await reader.readexactly(length), tcp=True)
                if answer is None:
                    return
                writer.write(struct.pack("!H", len(answer)) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.close()


def _failure(request: DNSRecord) -> bytes:
    header = DNSHeader(id=request.header.id, qr=1, ra=1, rcode=RCODE.SERVFAIL)
    return bytes(DNSRecord(header, q=request.q).pack())
