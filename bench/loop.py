"""The yardstick: a bare httpx loop that sends only the writes that a new cluster needs.

    python -m bench.loop SETUP CONCURRENCY

SETUP is a JSON file of bench.setup.Setup.start_loop. Domains come first; then some threads wait for their deploy tokens
and write them into Secrets, while the others create routes. It exits with 1 if a request failed or was not answered.
"""

import json
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

REQUEST_SECONDS = 30.0
POLL_SECONDS = 0.2
TOKEN_THREADS = 4
TOKEN_SECONDS = 60.0


class Loop:
    def __init__(self, setup: dict[str, Any], concurrency: int) -> None:
        self._concurrency = concurrency
        self._namespace = setup["namespace"]
        context = ssl.create_default_context(cafile=setup["ca"])
        self._kusciaapi = httpx.Client(
            base_url=setup["kusciaapi"], headers={"Token": setup["token"]}, verify=context, timeout=REQUEST_SECONDS
        )
        self._kubernetes = httpx.Client(base_url=setup["kubernetes"], verify=context, timeout=REQUEST_SECONDS)

    def run(self, domains: list[str], routes: list[dict[str, Any]]) -> None:
        with ThreadPoolExecutor(self._concurrency) as pool, ThreadPoolExecutor(1) as other:
            list(pool.map(self._create_domain, domains))
            tokens = other.submit(self._write_tokens, domains)
            list(pool.map(lambda route: self._call("route/create", route), routes))
            tokens.result()

    def _call(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._kusciaapi.post(f"/api/v1/{path}", json=body).raise_for_status().json()
        if answer["status"]["code"]:
            raise SystemExit(f"{path}: {answer['status']}")
        return answer.get("data")

    def _create_domain(self, name: str) -> None:
        center = {"authentication_type": "Token", "token_gen_method": "RSA-GEN"}
        self._call("domain/create", {"domain_id": name, "auth_center": center})

    def _write_tokens(self, domains: list[str]) -> None:
        pending, end = list(domains), time.monotonic() + TOKEN_SECONDS
        with ThreadPoolExecutor(TOKEN_THREADS) as pool:
            while pending:
                if time.monotonic() > end:
                    raise SystemExit(f"no deploy token for {', '.join(pending)}")
                time.sleep(POLL_SECONDS)
                pending = [
                    name for name, done in zip(pending, pool.map(self._write_token, pending), strict=True) if not done
                ]

    def _write_token(self, name: str) -> bool:
        tokens = self._call("domain/query", {"domain_id": name})["deploy_token_statuses"]
        if tokens:
            body = {"metadata": {"name": f"kuscia-deploy-token-{name}"}, "stringData": {"token": tokens[0]["token"]}}
            self._kubernetes.post(f"/api/v1/namespaces/{self._namespace}/secrets", json=body).raise_for_status()
        return bool(tokens)


def main() -> None:
    setup = json.loads(Path(sys.argv[1]).read_text())
    Loop(setup, int(sys.argv[2])).run(setup["domains"], setup["routes"])


if __name__ == "__main__":
    try:
        main()
    except httpx.HTTPError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from error
