"""Requests to a Kuscia gateway (port 1080) that need no credentials."""

import socket
import ssl
from dataclasses import dataclass, replace

import httpx

from kuscia_hooks.core import hosts, tls
from kuscia_hooks.core.answers import LimitedAnswers, Network
from kuscia_hooks.core.config.common import split_endpoint
from kuscia_hooks.core.errors import PermanentError, RetryableError, cause_of
from kuscia_hooks.core.text import printable, quoted
from kuscia_hooks.core.trust import advice
from kuscia_hooks.core.waiting import current
from kuscia_hooks.kuscia.gateway_answer import Problem, domain_of, from_kuscia, json_object
from kuscia_hooks.kuscia.gateway_answer import problem as problem_of

TIMEOUT = 5.0
# Enough for every answer of a gateway (Kuscia facts 5.4, 16.2); something else may answer with any number of bytes.
_ANSWER_BYTES = 1 << 18
KNOWN = {0, 2, 3, 4}
_NOT_TRUSTED = "gateway-certificate-not-trusted"
UNKNOWN = 5
MASTER = "master"
"""The name of the handshake server of every master."""
# Kuscia's Envoy sends no server name (SNI), because its upstream TLS context is empty. OpenSSL sends none for an IP
# address, whatever the host of the endpoint is.
AS_ENVOY = {"sni_hostname": "127.0.0.1"}


_trusted: dict[tuple[str, int], ssl.SSLContext] = {}


def trust(endpoint: str, pem: str) -> None:
    """Verify the gateway at an endpoint against CA certificates, by signature and name, in all later requests.

    Raises:
        ValueError: the text has no certificate.
    """
    _trusted[_address(httpx.URL(endpoint))] = tls.trusting(pem)


def _address(url: httpx.URL) -> tuple[str, int]:
    return url.host, url.port or (443 if url.scheme == "https" else 80)


def open_client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return an HTTP client for gateways that resolves absolute names only, bounded by the current deadline."""
    # By default gateway certificates are self-signed, and Kuscia itself never verifies them (Kuscia facts 2.7).
    network = transport or _AbsoluteNames(Network(verify=False))
    limited = LimitedAnswers(network, _ANSWER_BYTES)
    return httpx.Client(timeout=current().bound(TIMEOUT), trust_env=False, transport=limited)


class _AbsoluteNames(httpx.BaseTransport):
    """Resolves hosts without the search list, as Kuscia does; the Host header and the TLS server name are unchanged.

    A gateway with a CA bundle is verified. The name that is verified is sent as the server name, too.
    """

    def __init__(self, network: httpx.BaseTransport) -> None:
        self._network = network
        self._verifying: dict[tuple[str, int], httpx.BaseTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host, network = request.url.host, self._network
        request.extensions = {"sni_hostname": host, **request.extensions}
        address = _address(request.url)
        if address in _trusted:
            request.extensions["sni_hostname"] = host
            if address not in self._verifying:
                self._verifying[address] = Network(verify=_trusted[address])
            network = self._verifying[address]
        request.url = request.url.copy_with(host=hosts.absolute(host))
        return network.handle_request(request)

    def close(self) -> None:
        for network in (self._network, *self._verifying.values()):
            network.close()


def connection_error(url: str, error: httpx.RequestError, see: str = "") -> RetryableError:
    """Return the error for a request that got no answer: `host-not-found`, `master-down` or `master-unreachable`."""
    problem = _connection_problem(url, error)
    if cause_of(error, ssl.SSLError) and problem.error_id != _NOT_TRUSTED:
        problem = Problem(
            "proxy-requires-sni",
            f"{problem.seen} (Kuscia sends no TLS server name; a proxy that requires one cannot be used)",
        )
    return RetryableError(problem.error_id, f"cannot reach {url}: {problem.seen}", problem.fix, see)


def _connection_problem(url: str, error: httpx.RequestError) -> Problem:
    text = printable(error) or type(error).__name__
    unknown = cause_of(error, socket.gaierror)
    if unknown is not None:
        return Problem("host-not-found", *hosts.unresolved(split_endpoint(url).hostname or "", unknown))
    if cause_of(error, ssl.SSLCertVerificationError):
        return Problem(_NOT_TRUSTED, text, advice(text, "correct lite.master.caBundle or lite.master.endpoint"))
    if isinstance(error, httpx.TimeoutException):
        return Problem(
            "master-unreachable",
            f"no answer within {TIMEOUT:.0f} s: a firewall or NetworkPolicy drops the request, or nothing is listening",
        )
    if cause_of(error, ConnectionRefusedError):
        return Problem("master-down", f"{text}: nothing is listening")
    if cause_of(error, ConnectionResetError):
        return Problem("master-down", f"{text}: the connection was closed")
    if cause_of(error, ssl.SSLError) or isinstance(error, httpx.ProtocolError | httpx.DecodingError):
        return Problem("not-a-gateway", text)
    return Problem("master-unreachable", text)


def _command(endpoint: str) -> str:
    return f"curl -kvs {quoted(endpoint + '/')}"


def _gateway_at(client: httpx.Client, endpoint: str) -> str | Problem:
    """Return the domain ID that a Kuscia gateway names ("" for none), or why no gateway answers."""
    try:
        response = client.get(f"{endpoint}/")
    except httpx.RequestError as error:
        return _connection_problem(endpoint, error)
    if response.status_code != 401:
        problem = problem_of(response)
        return replace(problem, seen=f"{problem.seen} (expected HTTP 401)")
    return domain_of(response) if from_kuscia(response) else problem_of(response)


def probe_domain(endpoint: str, domain_id: str) -> None:
    """Check that the gateway of a domain answers. Raises as `probe`, and `gateway-of-another-domain` (permanent)."""
    found = probe(endpoint)
    if found and found != domain_id:
        raise PermanentError(
            "gateway-of-another-domain",
            f"{endpoint} is the gateway of domain {found}, not of {domain_id}",
            fix=f"set the endpoint of {domain_id} to its own gateway",
            see=_command(endpoint),
        )


def probe(endpoint: str, transport: httpx.BaseTransport | None = None) -> str:
    """Check that a Kuscia gateway answers, as a lite does at its start (Kuscia facts 0.11).

    Returns:
        The domain ID of the gateway; "" if the gateway does not name it.

    Raises:
        RetryableError: `wrong-scheme`, or an ID of `gateway_answer.problem` or `connection_error`.
        PermanentError: `master-access-denied` or `proxy-limits-requests`.
    """
    with open_client(transport) as client:
        problem = _gateway_at(client, endpoint)
        if isinstance(problem, str):
            return problem
        parts = split_endpoint(endpoint)
        other = "http" if parts.scheme == "https" else "https"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        swapped = f"{other}://{host}:{port}{parts.path}".rstrip("/")
        if isinstance(_gateway_at(client, swapped), str):
            raise RetryableError(
                "wrong-scheme",
                f"wrong scheme: {endpoint} ({problem.seen}); a Kuscia gateway answers at {swapped}",
                fix=f"set the endpoint to {swapped}",
                see=_command(swapped),
            )
    raise problem.error(f"no Kuscia gateway answers at {endpoint}: {problem.seen}", see=_command(endpoint))


@dataclass(frozen=True)
class Handshake:
    """The answer of a master to the handshake question (Kuscia facts 16.2).

    Args:
        master: domain ID of the master.
        state: 0 connected, 2 to 4 known, 5 not known (yet), 1 invalid ID, 6 internal error.
    """

    master: str
    state: int


def handshake(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> Handshake:
    """Ask a master for a domain.

    Raises:
        RetryableError: the request got no answer, or not that of a master.
        PermanentError: `gateway-of-another-domain`, `master-access-denied` or `proxy-limits-requests`.
    """
    url, see = f"{endpoint}/handshake", handshake_command(endpoint, domain_id)
    with open_client(transport) as client:
        response = _ask(client, endpoint, domain_id, MASTER, see)
        found = _handshake_of(response)
        if found is not None:
            return found
        other = domain_of(response) if response.status_code == 401 and from_kuscia(response) else ""
        # The gateway of a lite answers for its own domain, but not for the master (recordings of the gateway,
        # "handshake question at a lite"). If it does, headers do arrive.
        if other and _handshake_of(_ask(client, endpoint, domain_id, other, see)) is not None:
            raise PermanentError(
                "gateway-of-another-domain",
                f"{endpoint} is the gateway of domain {other}, not of a master",
                fix="set lite.master.endpoint to the address where the master listens on port 1080",
                see=see,
            )
    problem = request_problem(response, split_endpoint(endpoint).path)
    raise problem.error(f"{url} did not answer as a master: {problem.seen}", see=see)


def handshake_state(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> int:
    """Return the state of a domain at a master; see `Handshake`. Raises as `handshake`."""
    return handshake(endpoint, domain_id, transport).state


def master_id(endpoint: str, domain_id: str, transport: httpx.BaseTransport | None = None) -> str:
    """Return the domain ID of the master, asked on behalf of `domain_id`. Raises as `handshake`."""
    return handshake(endpoint, domain_id, transport).master


def handshake_command(endpoint: str, domain_id: str) -> str:
    """Return the command that sends the handshake question."""
    options = " ".join(f"-H {quoted(f'{name}: {value}')}" for name, value in handshake_headers(domain_id).items())
    return f"curl -ks {options} {quoted(f'{endpoint}/handshake')}"


def handshake_headers(domain_id: str, to: str = MASTER) -> dict[str, str]:
    """Return the headers of a request without credentials, which Envoy passes to the handshake server of `to`."""
    return {"Kuscia-Host": f"kuscia-handshake.{to}.svc", "Kuscia-Source": domain_id}


def _ask(client: httpx.Client, endpoint: str, domain_id: str, to: str, see: str) -> httpx.Response:
    url = f"{endpoint}/handshake"
    try:
        return client.get(url, headers=handshake_headers(domain_id, to), extensions=AS_ENVOY)
    except httpx.RequestError as error:
        raise connection_error(url, error, see) from error


def _handshake_of(response: httpx.Response) -> Handshake | None:
    """Return the content of an answer, None if it is not that of a handshake server."""
    if response.status_code != 200:
        return None
    body = json_object(response)
    master, state = body.get("namespace"), body.get("state")
    if not isinstance(master, str) or not master or type(state) is not int:
        return None
    return Handshake(master, state)


def request_problem(response: httpx.Response, path: str) -> Problem:
    """Return why a gateway that passed the probe does not answer a request without credentials.

    Args:
        response: the answer.
        path: of the endpoint.
    """
    if response.status_code == 401 and from_kuscia(response):
        return Problem(
            "proxy-drops-headers", "the Kuscia-Host header is missing; a proxy in front must forward all headers"
        )
    if response.status_code == 404 and path:
        return Problem(
            "proxy-keeps-path",
            f"the proxy in front must strip {path} from the path, also for requests without a TLS server name",
        )
    return problem_of(response)
