"""Limits for the answers of HTTP servers. The timeouts of httpx only limit the pause before the next bytes."""

import math
from collections.abc import Iterator
from typing import cast

import httpx

from kuscia_hooks.core.waiting import Deadline, current

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


class LimitedAnswers(httpx.BaseTransport):
    """Ends an answer that takes longer than the read timeout of its request, and cuts off one that is too long.

    Args:
        network: sends the requests.
        size: bytes of an answer that are read.
    """

    def __init__(self, network: httpx.BaseTransport, size: float = math.inf) -> None:
        self._network, self._size = network, size

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions.get("timeout", {}).get("read") or math.inf
        if request.extensions.get("until_deadline"):
            seconds = math.inf
        deadline = current().within(seconds)
        response = self._network.handle_request(request)
        response.stream = _Body(cast(httpx.SyncByteStream, response.stream), deadline, self._size)
        return response

    def close(self) -> None:
        self._network.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, body: httpx.SyncByteStream, deadline: Deadline, size: float) -> None:
        self._body, self._deadline, self._size = body, deadline, size

    def __iter__(self) -> Iterator[bytes]:
        there = 0
        for block in self._body:
            if self._deadline.passed:
                raise httpx.ReadTimeout("the answer is not complete")
            yield block
            there += len(block)
            if there >= self._size:
                return

    def close(self) -> None:
        self._body.close()
