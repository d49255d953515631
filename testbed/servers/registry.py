"""A container registry for the end-to-end tests: Debian's docker-registry, in the network of a local cluster.

It listens on the node. In that network, containerd and skopeo (run with `Cluster.nsenter`) reach it at
127.0.0.1:PORT; containerd accepts plain HTTP from that address.
"""

import base64
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from testbed.cluster.kubectl import Kubectl
from testbed.cluster.local import Cluster

MANIFEST = Path(__file__).parent / "manifests/registry.yaml"
USER = "puller"
READY_SECONDS = 120


@dataclass(frozen=True)
class Registry:
    """A running registry.

    Args:
        host: `127.0.0.1:PORT`, its address in the network of the cluster.
        password: of the user `puller`; "" if the registry does not require a login.
    """

    cluster: Cluster
    host: str
    password: str

    def push(self, source: str, repository: str, tag: str) -> str:
        """Copy an image to `repository:tag`; return its digest (sha256:…).

        Args:
            source: as skopeo names it, such as `oci-archive:FILE`.
        """
        target = f"docker://{self.host}/{repository}:{tag}"
        self._skopeo("copy", "--quiet", "--dest-tls-verify=false", source, target)
        return self._skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", target).strip()

    def docker_config(self, password: str | None = None) -> str:
        """Return the content of a pull secret (`.dockerconfigjson`); by default with the right password."""
        given = self.password if password is None else password
        auth = base64.b64encode(f"{USER}:{given}".encode()).decode()
        return json.dumps({"auths": {self.host: {"auth": auth}}})

    def _skopeo(self, verb: str, *args: str) -> str:
        with TemporaryDirectory() as directory:
            login = Path(directory, "auth.json")
            login.write_text(self.docker_config() if self.password else "{}")
            done = subprocess.run(
                [*self.cluster.nsenter, "skopeo", verb, *args],
                env=os.environ | {"REGISTRY_AUTH_FILE": str(login)},
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"skopeo {verb} {' '.join(args)}: {done.stderr}")
        return done.stdout


@contextmanager
def registry(
    cluster: Cluster, kubectl: Kubectl, namespace: str, image: str, port: int, private: bool
) -> Iterator[Registry]:
    """Run an empty registry; delete it with its namespace. The node keeps the images that it pulled.

    Args:
        image: complete reference of the registry's own image.
        port: on the node.
        private: whether it requires a login.
    """
    password = secrets.token_hex(16) if private else ""
    _remove(kubectl, namespace)
    try:
        kubectl.run("create", "namespace", namespace)
        if private:
            login = {key: base64.b64encode(value.encode()).decode() for key, value in
                     {"username": USER, "password": password}.items()}  # fmt: skip
            metadata = {"name": "registry-login", "namespace": namespace}
            kubectl.apply(json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": login}))
        kubectl.apply(_manifest(namespace, image, port))
        kubectl.run(
            "rollout", "status", "deployment/registry", "-n", namespace, f"--timeout={READY_SECONDS}s",
            timeout=READY_SECONDS + 10,
        )  # fmt: skip
        yield Registry(cluster, f"127.0.0.1:{port}", password)
    finally:
        _remove(kubectl, namespace)


def _remove(kubectl: Kubectl, namespace: str) -> None:
    kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--wait", timeout=300)


def _manifest(namespace: str, image: str, port: int) -> str:
    deployment = yaml.safe_load(MANIFEST.read_text())
    deployment["metadata"]["namespace"] = namespace
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = image
    container["env"] = [{"name": "PORT", "value": str(port)}]
    container["readinessProbe"]["tcpSocket"]["port"] = port
    return str(yaml.safe_dump(deployment))
