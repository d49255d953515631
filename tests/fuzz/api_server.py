"""A Kubernetes API server without nodes or controllers, for strict dry runs. It starts in seconds and needs no root.

It has the kinds of Kubernetes and those of the Prometheus Operator.
"""

import http.client
import json
import secrets
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.chart import operator_schemas
from tests.chart.render import tool

START_SECONDS = 180
# What a cluster would add to the request or look up: namespaces, service accounts, classes.
ADMISSION_OFF = (
    "DefaultIngressClass,DefaultStorageClass,LimitRanger,MutatingAdmissionWebhook,NamespaceLifecycle,PodSecurity,"
    "Priority,ResourceQuota,RuntimeClass,ServiceAccount,ValidatingAdmissionWebhook"
)


@dataclass(frozen=True)
class Address:
    """Where the API server listens and how to be admitted."""

    port: int
    token: str
    ca: str


class Client:
    """Create objects in a dry run, over one connection."""

    def __init__(self, address: Address) -> None:
        context = ssl.create_default_context(cafile=address.ca)
        self._connection = http.client.HTTPSConnection("127.0.0.1", address.port, context=context, timeout=60)
        self._headers = {"Authorization": f"Bearer {address.token}"}
        self._plurals: dict[tuple[str, str], str] = {}

    def refusal(self, api_version: str, kind: str, namespace: str, text: str) -> str:
        """Return why the API server rejects an object, empty if it accepts it.

        Args:
            text: the object as YAML. The server reads it strictly: it rejects unknown and repeated keys.
        """
        plural = self._plural(api_version, kind)
        if not plural:
            return f'no kind "{kind}" in "{api_version}"'
        base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        status, body = self._request(
            "POST",
            f"{base}/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict",
            text.encode(),
            "application/yaml",
        )
        return "" if status < 300 else str(json.loads(body).get("message", body))

    def define(self, kind: str) -> None:
        """Create a kind of the Prometheus Operator, and wait until the server has it.

        Raises:
            RuntimeError: the server rejects the definition.
        """
        crd = operator_schemas.custom_resource(kind)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        status, body = self._request("POST", path, json.dumps(crd).encode(), "application/json")
        if status >= 300:
            raise RuntimeError(f"{kind}: {json.loads(body).get('message', body)}")
        deadline = time.monotonic() + START_SECONDS
        objects = f"/apis/{operator_schemas.GROUP}/v1/namespaces/default/{crd['spec']['names']['plural']}"
        while self._request("GET", objects)[0] != 200:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{kind} did not become available")
            time.sleep(0.1)

    def _plural(self, api_version: str, kind: str) -> str:
        if (api_version, kind) not in self._plurals:
            base = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            status, body = self._request("GET", base)
            resources = json.loads(body)["resources"] if status < 300 else []
            self._plurals[api_version, kind] = next(
                (item["name"] for item in resources if item["kind"] == kind and "/" not in item["name"]), ""
            )
        return self._plurals[api_version, kind]

    def _request(self, method: str, path: str, body: bytes | None = None, content: str = "") -> tuple[int, bytes]:
        headers = self._headers | ({"Content-Type": content} if content else {})
        try:
            return self._send(method, path, body, headers)
        except (ssl.SSLError, http.client.RemoteDisconnected, ConnectionError):
            self._connection.close()  # the server closed it; a dry run can be repeated
            return self._send(method, path, body, headers)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


@contextmanager
def running() -> Iterator[Address]:
    """Run etcd and kube-apiserver until the context ends.

    Raises:
        RuntimeError: one of them ended or did not become ready; the message has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="kuscia-fuzz-") as scratch:
        folder = Path(scratch)
        client_port, peer_port, port = _free_ports(3)
        etcd, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (folder / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
        )
        token = secrets.token_hex(16)
        (folder / "tokens.csv").write_text(f'{token},fuzz,fuzz,"system:masters"\n')
        commands = {
            "etcd": [
                f"--data-dir={folder}/etcd",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
            "kube-apiserver": [
                f"--etcd-servers={etcd}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                f"--cert-dir={folder}/certs",
                "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder}/sa.key",
                f"--service-account-signing-key-file={folder}/sa.key",
                f"--token-auth-file={folder}/tokens.csv",
                "--authorization-mode=AlwaysAllow",
                f"--disable-admission-plugins={ADMISSION_OFF}",
                "--allow-privileged=true",
                "--profiling=false",
            ],
        }
        started: list[subprocess.Popen[bytes]] = []
        try:
            for name, arguments in commands.items():
                with (folder / f"{name}.log").open("wb") as log:
                    started.append(
                        subprocess.Popen([tool(name), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
                    )
            address = Address(port, token, f"{folder}/certs/apiserver.crt")
            _wait(address, folder, dict(zip(commands, started, strict=True)))
            for kind in operator_schemas.KINDS:
                Client(address).define(kind)
            yield address
        finally:
            for process in reversed(started):
                process.kill()  # nothing of it is kept
            for process in started:
                process.wait()
            shutil.rmtree(folder / "etcd", ignore_errors=True)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def _wait(address: Address, folder: Path, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            status, _ = Client(address)._request("GET", "/readyz")
            if status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        for name, process in processes.items():
            if process.poll() is not None or time.monotonic() > deadline:
                log = (folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} did not become ready:\n{log}")
        time.sleep(0.2)
