"""A KusciaAPI whose answers a test writes down, for what the server on loopback does not have: streams, lists."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.domain_key import load_key

# What a path answers: `data`, bytes as they are sent, or (code, message).
Reply = dict[str, Any] | bytes | tuple[int, str]


class Scripted:
    """`replies` by path; a list is used up one by one, its last stays. `asked` is what was sent."""

    def __init__(self, key_pem: bytes, domain_id: str, **replies: Reply | list[Reply] | Callable[[Any], Reply]) -> None:
        self.replies = {path.replace("__", "/"): reply for path, reply in replies.items()}
        self.asked: list[tuple[str, Any]] = []
        transport = httpx.MockTransport(self._answer)
        self.api = KusciaAPI("http://api:8082", "NOTLS", domain_id, load_key(key_pem), transport=transport)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1/").lstrip("/")
        if request.method == "GET":
            return httpx.Response(200, text="v1.1.0b0")
        body = json.loads(request.content)
        self.asked.append((path, body))
        reply = self.replies[path]
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if callable(reply):
            reply = reply(body)
        if isinstance(reply, bytes):
            return httpx.Response(200, content=reply)
        code, message, data = (0, "success", reply) if isinstance(reply, dict) else (*reply, None)
        return httpx.Response(200, json={"status": {"code": code, "message": message, "details": []}, "data": data})
