"""Limits for the answers of HTTP servers.

The timeouts of httpx only limit the pause before the next bytes. A server that sends one byte every few seconds would
hold a step beyond its deadline, with the headers of its answer or with the body. All HTTP clients of the steps
therefore send their requests through `LimitedAnswers` and `Network`.
"""

import math
import ssl
from collections.abc import Iterable, Iterator
from typing import Any, cast

import httpcore
import httpx

from kuscia_hooks.core.waiting import Deadline, bounded_by, current

UNTIL_DEADLINE = {"until_deadline": True}
"""Extension of a request whose answer may take until the current deadline, whatever its read timeout is."""


def decoded(response: httpx.Response) -> str:
    """Return the body as text, in the encoding that the answer names if that is one of text.

    `httpx.Response.text` fails for the other codecs of Python, such as hex.
    """
    try:
        return response.content.decode(response.charset_encoding or "utf-8", errors="replace")
    except (LookupError, UnicodeError):
        return response.content.decode(errors="replace")


class Network(httpx.HTTPTransport):
    """Connections without the proxies of the environment, whose pauses end at the deadline that is current by then.

    Args:
        options: those of `httpx.HTTPTransport`, such as `verify`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(trust_env=False, **options)
        # httpcore accepts a backend, but httpx does not pass one on.
        self._pool._network_backend = _Backend()


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, _left(timeout), local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()


def _left(timeout: float | None) -> float | None:
    """Return the seconds of a pause: `timeout`, but not beyond the current deadline; None for no limit."""
    seconds = current().bound(math.inf if timeout is None else timeout)
    return None if math.isinf(seconds) else seconds


class LimitedAnswers(httpx.BaseTransport):
    """Ends an answer that takes longer than the read timeout of its request, and cuts off one that is too long.

    The time counts from the start of the request to the last byte of the body. The current deadline ends it earlier. A
    request with the extension `UNTIL_DEADLINE` has no other limit than that deadline.

    Args:
        network: sends the requests; a `Network`, or a replacement in tests.
        size: bytes of a body that are read; the rest is cut off, at the end of a block.

    Raises:
        httpx.ReadTimeout: by `handle_request` and while the body is read: the answer is not complete in time.
    """

    def __init__(self, network: httpx.BaseTransport, size: float = math.inf) -> None:
        self._network, self._size = network, size

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions.get("timeout", {}).get("read") or math.inf
        if request.extensions.get("until_deadline"):
            seconds = math.inf
        deadline = current().within(seconds)
        with bounded_by(deadline):
            response = self._network.handle_request(request)
        response.stream = _Body(cast(httpx.SyncByteStream, response.stream), deadline, self._size)
        return response

    def close(self) -> None:
        self._network.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, body: httpx.SyncByteStream, deadline: Deadline, size: float) -> None:
        self._body, self._deadline, self._size = body, deadline, size

    def __iter__(self) -> Iterator[bytes]:
        there, blocks = 0, iter(self._body)
        while there < self._size:
            # The reader of the body has a deadline of its own.
            with bounded_by(self._deadline):
                block = next(blocks, None)
            if block is None:
                return
            if self._deadline.passed:
                raise httpx.ReadTimeout("the answer is not complete")
            yield block
            there += len(block)

    def close(self) -> None:
        self._body.close()
