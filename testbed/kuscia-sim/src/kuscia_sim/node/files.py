"""The files of a node below its home directory (Kuscia facts 1.7)."""

import base64
import dataclasses
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kuscia_sim import credentials
from kuscia_sim.log import Log
from kuscia_sim.node.config import Config
from kuscia_sim.node.host import Host

DIRECTORIES = ("var/certs", "var/logs", "var/stdout", "var/tmp", "var/storage/data", "etc/conf")

log = Log(__name__)


@dataclasses.dataclass(frozen=True)
class Certs:
    """Paths below var/certs, as strings for ssl."""

    ca_cert: str
    api_cert: str
    api_key: str
    domain_cert: str
    datamesh_cert: str
    datamesh_key: str


def prepare(config: Config, host: Host, key: RSAPrivateKey) -> Certs:
    """Create the directories and var/certs.

    Existing certificates stay, even if the key changed, as in Kuscia (Kuscia facts 1.7); those of KusciaAPI are created
    at each start.
    """
    for name in DIRECTORIES:
        (host.home / name).mkdir(parents=True, exist_ok=True)
    directory = host.home / "var/certs"
    domain_id = config.domain_id
    for name in ("ca", "domain"):
        _write_once(directory / f"{name}.key", credentials.key_pem(key))
        if not (directory / f"{name}.crt").exists():
            log.info("tls/crypt.go:377", f"Generate cert with key, subject[{domain_id}]")
            certificate = credentials.ca_certificate(key, domain_id)
            _write(directory / f"{name}.crt", credentials.cert_pem(certificate))
    _write(directory / "token", credentials.api_token(key, domain_id))
    sans = ["kusciaapi", host.hostname, "localhost", "127.0.0.1", host.pod_ip, *config.kuscia_api_sans]
    _issue(directory, "kusciaapi-server", key, domain_id, "KusciaAPI", sans)
    _issue(directory, "datamesh", key, domain_id, "DataMesh", ["localhost", "127.0.0.1", host.pod_ip])
    return Certs(
        ca_cert=str(directory / "ca.crt"),
        api_cert=str(directory / "kusciaapi-server.crt"),
        api_key=str(directory / "kusciaapi-server.key"),
        domain_cert=str(directory / "domain.crt"),
        datamesh_cert=str(directory / "datamesh.crt"),
        datamesh_key=str(directory / "datamesh.key"),
    )


def gateway_certificate(config: Config, key: RSAPrivateKey) -> tuple[str, str] | None:
    """Return certificate and key (PEM) of port 1080; None for plain HTTP (Kuscia facts 2.2, 2.7)."""
    if not config.gateway_tls:
        return None
    own = config.external_tls
    if config.is_master and not config.protocol and (own.get("certFile") or own.get("certData")):
        return _given(own, "cert"), _given(own, "key")
    server_key = credentials.new_key()
    certificate = credentials.server_certificate(
        key, config.domain_id, server_key.public_key(), f"{config.domain_id}_ENVOY_EXTERNAL", []
    )
    return credentials.cert_pem(certificate), credentials.key_pem(server_key)


def write_kubeconfig(host: Host, api_port: int) -> None:
    """Write etc/kubeconfig of a master, whose existence shows that its state is available."""
    text = (
        "apiVersion: v1\nkind: Config\ncurrent-context: default\n"
        f"clusters: [{{name: default, cluster: {{server: 'https://127.0.0.1:{api_port}'}}}}]\n"
        "contexts: [{name: default, context: {cluster: default, user: default}}]\n"
        "users: [{name: default, user: {}}]\n"
    )
    _write(host.home / "etc/kubeconfig", text)


def _given(tls: dict[str, object], name: str) -> str:
    data, file = str(tls.get(f"{name}Data") or ""), str(tls.get(f"{name}File") or "")
    if file:
        return Path(file).read_text()
    return data if "BEGIN" in data else base64.b64decode(data).decode()


def _issue(
    directory: Path, name: str, key: RSAPrivateKey, domain_id: str, common_name: str, sans: list[str]
) -> x509.Certificate:
    server_key = credentials.new_key()
    certificate = credentials.server_certificate(key, domain_id, server_key.public_key(), common_name, sans)
    _write(directory / f"{name}.key", credentials.key_pem(server_key))
    _write(directory / f"{name}.crt", credentials.cert_pem(certificate))
    return certificate


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        _write(path, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
