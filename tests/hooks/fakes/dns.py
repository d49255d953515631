"""A cluster DNS that knows a few absolute names."""

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from kuscia_hooks.core import hosts

_getaddrinfo = socket.getaddrinfo


class FakeDns:
    """Resolves the names in `zone` and applies no search list; addresses resolve to themselves.

    Args:
        directory: for the files hosts and resolv.conf.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.zone: dict[str, str] = {}
        self.asked: list[str] = []
        self.failure = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self._hosts, self._resolv_conf = directory / "hosts", directory / "resolv.conf"
        self._hosts.write_text("# made by kubelet\n127.0.0.1\tlocalhost\n10.0.0.9 Alias.example.com alias # one\n")
        self.search()
        monkeypatch.setattr(hosts, "HOSTS", self._hosts)
        monkeypatch.setattr(hosts, "RESOLV_CONF", self._resolv_conf)
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def search(self, *suffixes: str) -> None:
        """Set the search list of the pod."""
        self._resolv_conf.write_text(f"nameserver 10.96.0.10\nsearch {' '.join(suffixes)}\noptions ndots:5\n")

    def _resolve(self, host: str, port: int | None, *rest: Any, **options: Any) -> Sequence[Any]:
        if host.replace(".", "").isdigit():
            return _getaddrinfo(host, port, *rest, **options)
        self.asked.append(host)
        if host not in self.zone:
            raise self.failure
        return _getaddrinfo(self.zone[host], port, *rest, **options)
