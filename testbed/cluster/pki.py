"""The cluster's certificate authority and what it signs."""

import datetime
import ipaddress
import os
import shutil
from base64 import b64encode
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .names import Names

LIFETIME = datetime.timedelta(days=3650)
# kubeconfig name -> (user, group). The names are those that Kubernetes' bootstrap roles are bound to.
CLIENTS: dict[str, tuple[str, str | None]] = {
    "admin": ("kubernetes-admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", None),
    "kube-scheduler": ("system:kube-scheduler", None),
    "kube-proxy": ("system:kube-proxy", None),
    "coredns": ("system:coredns", None),
    "network-policies": ("system:network-policies", None),
    "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", None),
}


def ensure(names: Names) -> None:
    """Create keys, certificates and kubeconfigs if they do not exist, all of them or none."""
    if not names.pki.is_dir():
        scratch = names.pki.with_name(".pki.new")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700, parents=True)
        _write_all(names, scratch)
        scratch.rename(names.pki)
    admin = (names.pki / "admin.kubeconfig").read_text()
    user = admin.replace(names.api_url, names.loopback_url)
    if not names.kubeconfig.exists() or names.kubeconfig.read_text() != user:
        _write_secret(names.kubeconfig, user.encode())


def _authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return the key and the certificate of a new certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    extensions = [(x509.BasicConstraints(ca=True, path_length=None), True), (usage, True)]
    return key, _certificate(_subject(name), key, None, None, extensions)


def _write_all(names: Names, directory: Path) -> None:
    ca_key, ca = _authority(f"kuscia-chart-{names.name}")
    _write_pair(directory, "ca", ca_key, ca)

    def issue(file: str, subject: x509.Name, hosts: list[str]) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.ExtendedKeyUsage([usage]), False),
        ]
        if hosts:
            extensions.append((x509.SubjectAlternativeName([_alternative(host) for host in hosts]), False))
        return _write_pair(directory, file, key, _certificate(subject, key, ca, ca_key, extensions))

    issue(
        "apiserver",
        _subject("kube-apiserver"),
        [
            "127.0.0.1",
            str(names.node_address),
            str(names.kubernetes_service),
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
    )
    issue("kubelet", _subject(f"system:node:{names.name}"), [names.name, str(names.node_address)])
    node = (f"system:node:{names.name}", "system:nodes")
    for file, (user, group) in (CLIENTS | {"kubelet-client": node}).items():
        certificate, key = issue(file, _subject(user, group), [])
        if file != "apiserver-kubelet-client":
            _write_secret(
                directory / f"{file}.kubeconfig",
                kubeconfig(names.name, names.api_url, _pem(ca), certificate, key).encode(),
            )
    service_accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    _write_secret(directory / "service-accounts.key", _key_pem(service_accounts))
    (directory / "service-accounts.pub").write_bytes(
        service_accounts.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def kubeconfig(name: str, server: str, ca: bytes, certificate: bytes, key: bytes) -> str:
    """Return a kubeconfig (YAML text) with everything inline; ca, certificate and key are PEM."""
    text = {k: b64encode(v).decode() for k, v in (("ca", ca), ("certificate", certificate), ("key", key))}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": text["ca"]}}],
            "users": [
                {
                    "name": name,
                    "user": {"client-certificate-data": text["certificate"], "client-key-data": text["key"]},
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        },
        sort_keys=False,
    )


def _subject(name: str, group: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate | None,
    ca_key: ec.EllipticCurvePrivateKey | None,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour ago: the clock of the machine may be corrected while the cluster runs.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(ca_key or key, hashes.SHA256())


def _write_pair(
    directory: Path, file: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
) -> tuple[bytes, bytes]:
    pair = _pem(certificate), _key_pem(key)
    (directory / f"{file}.crt").write_bytes(pair[0])
    _write_secret(directory / f"{file}.key", pair[1])
    return pair


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_secret(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    scratch.rename(path)
