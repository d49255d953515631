"""The S3 server of the demo: one per cluster, one account and one bucket per party.

Accounts are versitygw's internal ones: a users.json in a Secret, mounted read-only. Credentials are
random, made once, and live in Secrets only.
"""

import base64
import hashlib
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import urllib3
import yaml
from minio import Minio
from minio.error import S3Error

from testbed.cluster import toolchain
from testbed.cluster.kubectl import CommandError, Kubectl
from testbed.servers import tls
from testbed.servers.rollout import wait_ready

MANIFEST = Path(__file__).parent / "manifests/s3.yaml"
NAMESPACE = "demo-s3"
SERVICE = "service/s3"
PORT = 7070
SECRET = "s3-accounts"


@dataclass(frozen=True)
class S3:
    """The endpoint of the server for pods, and the bucket of each party."""

    endpoint: str
    buckets: Mapping[str, str]


@dataclass(frozen=True)
class Account:
    """The account of a party, and the Secret for its credentials (access_key_id, access_key_secret)."""

    party: str
    namespace: str
    secret: str

    @property
    def bucket(self) -> str:
        return self.party


ACCOUNTS = (Account("alice", "lite-alice", "alice-oss"), Account("bob", "lite-bob", "bob-oss"))


def ensure(
    kubectl: Kubectl,
    image: str,
    accounts: tuple[Account, ...] = ACCOUNTS,
    namespace: str = NAMESPACE,
    arguments: tuple[str, ...] = (),
    certificate: tls.Tls | None = None,
) -> S3:
    """Start a server with accounts, Secrets and buckets of the parties; safe to repeat.

    Args:
        image: complete reference of the versitygw image.
        namespace: of the server; use a separate one for a test that does more than read and write.
        arguments: of versitygw, beyond what the demo needs.
        certificate: for https; one of its names is 127.0.0.1.

    Raises:
        CommandError: the server did not become ready; the message shows its pods and their log.
    """
    kubectl.ensure_namespace(namespace)
    users = _users(kubectl, accounts, namespace)
    if certificate:
        kubectl.apply(certificate.secret(namespace))
    kubectl.apply(_manifest(image, users, namespace, arguments, certificate is not None))
    wait_ready(kubectl, "S3 server", "s3", namespace)
    for account in accounts:
        kubectl.ensure_namespace(account.namespace)
        kubectl.apply(_secret(account.namespace, account.secret, {
            "access_key_id": account.party, "access_key_secret": users[account.party]}))  # fmt: skip
        _retry(partial(_ensure_bucket, kubectl, account, namespace, certificate))
    endpoint = f"{'https' if certificate else 'http'}://s3.{namespace}.svc.cluster.local:{PORT}"
    return S3(endpoint, {account.party: account.bucket for account in accounts})


def remove(kubectl: Kubectl, namespace: str = NAMESPACE) -> None:
    """Delete the server and its data."""
    kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--wait", timeout=300)


@contextmanager
def client(
    kubectl: Kubectl, party: str, namespace: str = NAMESPACE, certificate: tls.Tls | None = None
) -> Iterator[Minio]:
    """Yield an S3 client with the credentials of a party, through a port-forward."""
    users = _read_users(kubectl, namespace)
    authority = certificate.authority.decode() if certificate else None
    with kubectl.port_forward(namespace, SERVICE, PORT) as port:
        yield Minio(
            endpoint=f"127.0.0.1:{port}", access_key=party, secret_key=users[party], secure=bool(certificate),
            http_client=urllib3.PoolManager(timeout=urllib3.Timeout(10), retries=False, ca_cert_data=authority),
        )  # fmt: skip


@contextmanager
def on_loopback(
    directory: Path, users: Mapping[str, str], certificate: tuple[bytes, bytes] | None = None
) -> Iterator[str]:
    """Run the same server as a process of this machine; yield its URL.

    Args:
        directory: for accounts and objects, empty at first.
        users: access key id -> secret of its accounts.
        certificate: for https, and its key.
    """
    (directory / "data").mkdir()
    tls = []
    for option, content in zip(("--cert", "--key"), certificate or (), strict=False):
        path = directory / f"{option.strip('-')}.pem"
        path.write_bytes(content)
        tls += [option, str(path)]
    (directory / "users.json").write_text(users_json(users))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [str(toolchain.ensure(["versitygw"]) / "versitygw"), "--port", f"127.0.0.1:{port}", *tls,
         "--iam-dir", str(directory), "--quiet", "posix", str(directory / "data")],
        env=os.environ | {"ROOT_ACCESS_KEY": "root", "ROOT_SECRET_KEY": secrets.token_hex(20)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def read(kubectl: Kubectl, party: str, name: str) -> bytes:
    """Return the content of an object in the bucket of a party."""
    with client(kubectl, party) as s3:
        return s3.get_object(bucket_name=party, object_name=name).read()


def _users(kubectl: Kubectl, accounts: tuple[Account, ...], namespace: str) -> dict[str, str]:
    """Return access key ID -> secret of all accounts; create missing ones."""
    users = _read_users(kubectl, namespace) or {"root": secrets.token_hex(20)}
    missing = [account.party for account in accounts if account.party not in users]
    if missing or not kubectl.exists("secret", SECRET, "-n", namespace):
        users |= {party: secrets.token_hex(20) for party in missing}
        kubectl.apply(_secret(namespace, SECRET, {
            "root-access-key-id": "root",
            "root-access-key-secret": users["root"],
            "users.json": users_json({name: value for name, value in users.items() if name != "root"}),
        }))  # fmt: skip
    return users


def _read_users(kubectl: Kubectl, namespace: str) -> dict[str, str]:
    if not kubectl.exists("secret", SECRET, "-n", namespace):
        return {}
    data = {key: base64.b64decode(value).decode()
            for key, value in kubectl.get("secret", SECRET, "-n", namespace)["data"].items()}  # fmt: skip
    entries = json.loads(data["users.json"])["accessAccounts"].values()
    return {"root": data["root-access-key-secret"]} | {one["access"]: one["secret"] for one in entries}


def users_json(users: Mapping[str, str]) -> str:
    """versitygw's file of internal accounts. `userplus` can create buckets; only the owner of a bucket can use it."""
    accounts = {
        name: {
            "access": name,
            "secret": secret,
            "role": "userplus",
            "userID": 0,
            "groupID": 0,
            "projectID": 0,
        }
        for name, secret in users.items()
    }
    return json.dumps({"accessAccounts": accounts})


def _manifest(image: str, users: Mapping[str, str], namespace: str, arguments: tuple[str, ...], secured: bool) -> str:
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text()))
    for one in documents:
        one["metadata"]["namespace"] = namespace
    deployment = next(one for one in documents if one["kind"] == "Deployment")
    template = deployment["spec"]["template"]
    container = template["spec"]["containers"][0]
    container["image"] = image
    container["args"][:0] = arguments
    if secured:
        container["args"][:0] = ("--cert", tls.CERTIFICATE, "--key", tls.KEY)
        tls.mount(template["spec"], container)
        for probe in ("readinessProbe", "livenessProbe"):
            container[probe]["httpGet"]["scheme"] = "HTTPS"
    names = hashlib.sha256("\0".join(sorted(users)).encode()).hexdigest()[:12]
    template["metadata"]["annotations"]["kuscia-chart/accounts"] = names
    return yaml.safe_dump_all(documents)


def _secret(namespace: str, name: str, values: Mapping[str, str]) -> str:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return yaml.safe_dump({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": name, "namespace": namespace}, "data": data,
    })  # fmt: skip


def _ensure_bucket(kubectl: Kubectl, account: Account, namespace: str, certificate: tls.Tls | None) -> None:
    with client(kubectl, account.party, namespace, certificate) as s3:
        if not s3.bucket_exists(account.bucket):
            s3.make_bucket(account.bucket)


def _retry(call: Callable[[], None], seconds: float = 60) -> None:
    """Repeat `call` until it succeeds: new accounts are delayed after a start, and a ready pod may have stopped."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (S3Error, urllib3.exceptions.HTTPError, CommandError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
