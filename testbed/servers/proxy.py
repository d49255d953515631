"""A forward proxy for tests: Debian's tinyproxy, which resolves names that the cluster does not have."""

import base64
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from testbed.cluster.kubectl import Kubectl
from testbed.servers.rollout import wait_ready

NAME = "proxy"
PORT = 3128
USER = "site"
MANIFEST = Path(__file__).parent / "manifests/proxy.yaml"
# One line per request: "CONNECT   … Request (file descriptor 5): GET http://files.example.com/a HTTP/1.1".
_REQUEST = re.compile(r"Request \(file descriptor \d+\): ([A-Z]+) (\S+) HTTP/")


def ensure(kubectl: Kubectl, namespace: str, image: str, password: str, hosts: Mapping[str, str]) -> str:
    """Start the proxy and return its URL, without the login.

    Args:
        image: complete reference of its image.
        password: that it requires, of user USER; letters and digits.
        hosts: name -> address of the servers that only the proxy can resolve.
    """
    kubectl.ensure_namespace(namespace)
    config = f"Port {PORT}\nTimeout 600\nLogLevel Connect\nMaxClients 50\nBasicAuth {USER} {password}\n"
    encoded = base64.b64encode(config.encode()).decode()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "data": {"tinyproxy.conf": encoded}}
    documents = [secret, *yaml.safe_load_all(MANIFEST.read_text())]
    pod = documents[-1]["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = image
    pod["hostAliases"] = [{"ip": address, "hostnames": [name]} for name, address in hosts.items()]
    for document in documents:
        document["metadata"]["namespace"] = namespace
    kubectl.apply("\n---\n".join(map(json.dumps, documents)))
    wait_ready(kubectl, "proxy", NAME, namespace)
    return f"http://{NAME}.{namespace}.svc.cluster.local:{PORT}"


def requests(kubectl: Kubectl, namespace: str) -> list[tuple[str, str]]:
    """Return method and host of all requests that the proxy received."""
    log = kubectl.run("logs", f"deployment/{NAME}", "-n", namespace)
    return [(method, _host(target)) for method, target in _REQUEST.findall(log)]


def _host(target: str) -> str:
    return urlsplit(target if "://" in target else f"//{target}").hostname or ""


def remove(kubectl: Kubectl, namespace: str) -> None:
    """Delete the proxy and its namespace."""
    kubectl.run("delete", "namespace", namespace, "--ignore-not-found", "--wait", timeout=300)
