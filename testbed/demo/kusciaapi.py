"""KusciaAPI of a release in the cluster, for the person or the test at this machine."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api import KusciaAPI, Protocol
from testbed.cluster.kubectl import Kubectl
from testbed.demo.releases import Release

PORT = 8082


@contextmanager
def kusciaapi(kubectl: Kubectl, release: Release, protocol: Protocol = "TLS") -> Iterator[KusciaAPI]:
    """Yield the KusciaAPI of a release, through a port-forward, with the key in the Secret of the release."""
    secret = kubectl.get("secret", f"{release.fullname}-domain-key", "-n", release.namespace)
    key = domain_key.load_key(base64.b64decode(secret["data"]["domain.key"]))
    scheme = "http" if protocol == "NOTLS" else "https"
    with (
        kubectl.port_forward(release.namespace, f"service/{release.fullname}", PORT) as port,
        KusciaAPI(f"{scheme}://127.0.0.1:{port}", protocol, release.domain, key) as api,
    ):
        yield api
