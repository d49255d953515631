"""Certificates of a private CA for the servers of tests."""

import base64
import json
from dataclasses import dataclass, field

SECRET = "certificate"
DIRECTORY = "/certificate"
CERTIFICATE = f"{DIRECTORY}/tls.crt"
KEY = f"{DIRECTORY}/tls.key"


@dataclass(frozen=True)
class Tls:
    """The certificate of a server.

    Args:
        authority: PEM certificate of the CA.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes

    def secret(self, namespace: str) -> str:
        """Return the Secret with certificate and key."""
        files = {"tls.crt": self.certificate, "tls.key": self.key}
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        metadata = {"name": SECRET, "namespace": namespace}
        return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})


def mount(pod: dict[str, object], container: dict[str, list[object]]) -> None:
    """Mount the Secret into a container of a pod spec."""
    volumes = pod["volumes"]
    assert isinstance(volumes, list)
    volumes.append({"name": SECRET, "secret": {"secretName": SECRET, "defaultMode": 0o440}})
    container["volumeMounts"].append({"name": SECRET, "mountPath": DIRECTORY, "readOnly": True})
