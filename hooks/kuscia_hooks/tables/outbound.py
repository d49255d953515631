"""HTTP requests to servers of tables: the CAs that they trust, and the proxy that they use."""

import ssl
from functools import cached_property

import httpx

from kuscia_hooks.core import proxies, trust
from kuscia_hooks.core.answers import LimitedAnswers, Network
from kuscia_hooks.core.waiting import current


class Outbound(httpx.BaseTransport):
    """Sends each request, also one of a redirect, directly or through the proxy for its URL.

    Raises:
        PermanentError: by `handle_request`: `invalid-proxy`.
        RetryableError: by `handle_request`: the CA bundle cannot be used; see `trust.bundle`.
    """

    def __init__(self) -> None:
        self._networks: dict[proxies.Proxy | None, Network] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        proxy = proxies.proxy_for(str(request.url))
        if proxy not in self._networks:
            self._networks[proxy] = Network(verify=self._tls, proxy=self._used(proxy))
        return self._networks[proxy].handle_request(request)

    def _used(self, proxy: proxies.Proxy | None) -> httpx.Proxy | None:
        if proxy is None:
            return None
        # The library accepts TLS settings for https proxies only.
        return httpx.Proxy(proxy.url, ssl_context=self._tls if proxy.url.startswith("https://") else None)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return trust.context()

    def close(self) -> None:
        for network in self._networks.values():
            network.close()


def client(transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """Return an HTTP client that follows redirects; the current deadline bounds its pauses.

    Args:
        transport: replaces the network in tests.
    """
    deadline = current()
    return httpx.Client(
        timeout=httpx.Timeout(deadline.bound(60), connect=deadline.bound(5)),
        follow_redirects=True,
        trust_env=False,
        transport=LimitedAnswers(transport or Outbound()),
    )
