"""A client that verifies host names, as Java and Go do, can connect to KusciaAPI with each name of its Service."""

import base64
import socket
import ssl
import threading
from pathlib import Path

import pytest

from kuscia_hooks.kuscia import domain_key
from kuscia_sim import credentials as sim_credentials
from kuscia_sim.node import config as sim_config
from kuscia_sim.node import files
from kuscia_sim.node.host import Host
from kuscia_sim.transport.tls import server_context
from tests.chart.render import Scenario

COMPONENTS = {"master": ("master", "kuscia-system", "kuscia-master"), "lite": ("alice", "alice", "kuscia-lite-alice")}


def _kuscia_yaml(preset: str) -> str:
    """Return kuscia.yaml as the chart renders it."""
    objects = Scenario(name=f"api-certificate-{preset}", presets=(preset,), namespace="apart").objects
    (text,) = [item["data"]["kuscia.yaml"] for item in objects if "kuscia.yaml" in (item.get("data") or {})]
    return str(text)


def _connect(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Perform a TLS handshake in which the client expects `name`.

    Raises:
        ssl.SSLError: the client does not accept the certificate of the server.
    """
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            # The client raises the reason.
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as connection:
            assert connection.version() is not None
    finally:
        ours.close()
        thread.join(10)


def _trusting(key: bytes, domain: str) -> ssl.SSLContext:
    """Return a client context that trusts the domain of this key and verifies host names."""
    certificate = domain_key.ca_certificate(domain_key.load_key(key), domain)
    context = ssl.create_default_context(cadata=certificate.decode())
    # The certificate has no key identifiers, which RFC 5280 requires.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("component", COMPONENTS)
def test_clients_can_verify_the_service_names(component: str, tmp_path: Path) -> None:
    preset, domain, service = COMPONENTS[component]
    node_key = sim_credentials.new_key()
    pem = sim_credentials.key_pem(node_key)
    config = sim_config.parse(f"{_kuscia_yaml(preset)}\ndomainKeyData: {base64.b64encode(pem.encode()).decode()}\n")
    host = Host(home=tmp_path, bind="0.0.0.0", offset=0, hostname="pod", pod_ip="10.0.0.9", in_image=False)
    made = files.prepare(config, host, node_key)
    # The client trusts the certificate that the step `keys` publishes in a ConfigMap.
    client = _trusting(pem.encode(), domain)
    assert client.check_hostname
    server = server_context(made.api_cert, made.api_key, None)
    for name in (service, f"{service}.apart", f"{service}.apart.svc", f"{service}.apart.svc.cluster.local"):
        _connect(server, client, name)
    for name in (f"{service}.elsewhere.svc.cluster.local", "kuscia.example.com"):
        with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
            _connect(server, client, name)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate signature failure"):
        _connect(server, _trusting(domain_key.new_key(), domain), service)
