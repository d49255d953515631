"""An S3 server and a file server, for variants with tables."""

import base64
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from minio import Minio

from testbed.cluster.kubectl import Kubectl
from testbed.demo.demo import Demo
from testbed.servers import s3
from tests.e2e.variants import Variant

VIRTUAL = "vh"
SCRIPT = Path(__file__).parent / "fileserver.py"
LOGIN = "alice-files"


@dataclass(frozen=True)
class Stores:
    """The servers of one variant.

    Args:
        namespace: of the S3 server.
    """

    made: Variant
    namespace: str
    password: str

    @property
    def kubectl(self) -> Kubectl:
        return self.made.kubectl

    @property
    def endpoint(self) -> str:
        """The endpoint with the bucket in the path."""
        return f"http://s3.{self.namespace}.svc.cluster.local:{s3.PORT}"

    @property
    def virtual_endpoint(self) -> str:
        """The endpoint with the bucket in the host name."""
        return f"http://{VIRTUAL}.{self.namespace}.svc.cluster.local:{s3.PORT}"

    @property
    def files(self) -> str:
        return f"http://files.{self.made.namespace('alice')}.svc.cluster.local:8080"

    @contextmanager
    def client(self, party: str = "alice") -> Iterator[Minio]:
        with s3.client(self.kubectl, party, self.namespace) as client:
            yield client

    def names(self, bucket: str, party: str = "alice") -> set[str]:
        with self.client(party) as client:
            return {str(found.object_name) for found in client.list_objects(bucket, recursive=True)}

    def uploads(self, bucket: str) -> list[str]:
        """Return the objects with an unfinished multipart upload."""
        with self.client() as client:
            return [str(one.object_name) for one in client._list_multipart_uploads(bucket).uploads]

    def put_file(self, name: str, content: bytes) -> None:
        """Write a file to the volume that the file server serves."""
        with self.kubectl.port_forward(self.made.namespace("alice"), "service/files", 8080) as port:
            httpx.put(f"http://127.0.0.1:{port}/files/{name}", content=content).raise_for_status()

    def account(self, name: str) -> dict[str, str]:
        """Return the keys of an account of the S3 server as the content of a Secret."""
        users = s3._read_users(self.kubectl, self.namespace)
        return {"access_key_id": name, "access_key_secret": users[name]}

    def secret(self, values: dict[str, str]) -> None:
        """Replace alice's Secret; {} deletes it."""
        # `apply` would keep keys that are not in `values`.
        namespace = self.made.namespace("alice")
        self.kubectl.run("delete", "secret", "alice-oss", "-n", namespace, "--ignore-not-found")
        if values:
            self.made.secret(namespace, "alice-oss", values)


@contextmanager
def stores(demo: Demo, made: Variant, refs: dict[str, str], virtual_bucket: str = "") -> Iterator[Stores]:
    """Run both servers, empty; remove them afterwards. Each lite of the variant has an account and a bucket.

    Args:
        refs: references of the images by name.
        virtual_bucket: bucket of the virtual endpoint.
    """
    namespace = made.namespace("s3")
    found = Stores(made, namespace, secrets.token_hex(8))
    s3.remove(demo.kubectl, namespace)
    lites = [party for party in made.parties if party != "master"]
    accounts = tuple(s3.Account(party, made.namespace(party), f"{party}-oss") for party in lites)
    domain = f"{VIRTUAL}.{namespace}.svc.cluster.local"
    s3.ensure(demo.kubectl, refs["versitygw"], accounts, namespace, ("--virtual-domain", domain))
    if virtual_bucket:
        # <hostname>.<headless Service> is the DNS name of a pod: here the name of the bucket.
        service = {"clusterIP": "None", "selector": {"app.kubernetes.io/name": "s3"}, "publishNotReadyAddresses": True}
        demo.kubectl.apply(_object("v1", "Service", VIRTUAL, namespace, spec=service))
        host = {"spec": {"template": {"spec": {"hostname": virtual_bucket, "subdomain": VIRTUAL}}}}
        demo.kubectl.run("patch", "deployment", "s3", "-n", namespace, "-p", json.dumps(host))
        demo.kubectl.run("rollout", "status", "deployment/s3", "-n", namespace, "--timeout=110s")
    file_server(found, refs["kuscia-hooks"])
    try:
        yield found
    finally:
        s3.remove(demo.kubectl, namespace)


def _object(version: str, kind: str, name: str, namespace: str, **fields: Any) -> str:
    metadata = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": version, "kind": kind, "metadata": metadata, **fields})


def file_server(found: Stores, image: str) -> None:
    """Run the file server in alice's namespace with the volume `alice-files`."""
    namespace, kubectl = found.made.namespace("alice"), found.kubectl
    kubectl.ensure_namespace(namespace)
    found.made.secret(namespace, LOGIN, {"username": "reader", "password": found.password})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    container = {
        "name": "files",
        "image": image,
        "command": ["python3", "/srv/fileserver.py"],
        "env": [
            {"name": key.upper(), "valueFrom": {"secretKeyRef": {"name": LOGIN, "key": key}}}
            for key in ("username", "password")
        ],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "script", "mountPath": "/srv"}, {"name": "files", "mountPath": "/files"}],
    }
    pod = {
        # The local cluster has hostPath volumes, which belong to root and ignore fsGroup.
        "securityContext": {"runAsUser": 0},
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [
            {"name": "script", "configMap": {"name": "files"}},
            {"name": "files", "persistentVolumeClaim": {"claimName": LOGIN}},
        ],
    }
    script = base64.b64encode(SCRIPT.read_bytes()).decode()
    labels = {"app": "files"}
    for manifest in (
        _object("v1", "ConfigMap", "files", namespace, binaryData={SCRIPT.name: script}),
        _object("v1", "PersistentVolumeClaim", LOGIN, namespace, spec=claim),
        _object("v1", "Service", "files", namespace, spec={"selector": labels, "ports": [{"port": 8080}]}),
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "files", "namespace": namespace, "labels": labels},
                "spec": pod,
            }
        ),
    ):
        kubectl.apply(manifest)
    kubectl.run("wait", "pod/files", "-n", namespace, "--for=condition=Ready", "--timeout=110s")
