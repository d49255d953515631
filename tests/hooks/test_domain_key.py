import base64
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa

from kuscia_hooks.core.log import logger
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api import KusciaAPI
from tests.hooks.failing import fails
from tests.hooks.fakes.certificates import certificate_of
from tests.hooks.fakes.kuscia import Kuscia, serve


def test_new_key_is_pkcs1_of_2048_bits() -> None:
    pem = domain_key.new_key()
    assert pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----\n")
    assert domain_key.load_key(pem).key_size == 2048


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: b"", "empty"),
        (lambda: b" \n", "empty"),
        (lambda: b"garbage", "not a PEM private key"),
        (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA key"),
        (lambda: _pem(rsa.generate_private_key(65537, 1024)), "1024 bits"),
        (lambda: _pem(rsa.generate_private_key(65537, 2048), b"secret"), "passphrase"),
    ],
)
def test_rejects_invalid_keys(make, says: str) -> None:
    with pytest.raises(domain_key.InvalidKey, match=says):
        domain_key.load_key(make())


def test_accepts_pkcs8(key_pem: bytes) -> None:
    key = domain_key.load_key(key_pem)
    assert domain_key.public_der(domain_key.load_key(_pem(key))) == domain_key.public_der(key)


def test_api_token_is_the_signature_of_the_domain_id(key_pem: bytes) -> None:
    """First 32 characters of the base64 of a PKCS#1 v1.5 signature with SHA-256 (Kuscia facts 0.7)."""
    key = domain_key.load_key(key_pem)
    token = domain_key.api_token(key, "alice")
    signature = key.sign(b"alice", padding.PKCS1v15(), hashes.SHA256())
    assert len(token) == 32
    assert base64.b64encode(signature).startswith(token.encode())
    assert domain_key.api_token(key, "bob") != token


def test_own_certificate_is_a_ca_for_the_domain_and_its_key(key_pem: bytes) -> None:
    key = domain_key.load_key(key_pem)
    pem = domain_key.ca_certificate(key, "alice")
    certificate = x509.load_pem_x509_certificate(pem)
    assert domain_key.certificate_common_name(pem) == "alice"
    assert domain_key.certificate_public_der(pem) == domain_key.public_der(key)
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc > datetime.timedelta(days=49 * 365)
    certificate.verify_directly_issued_by(certificate)


@pytest.mark.parametrize(
    "change",
    [
        lambda pem, _: pem.replace("\n", "\r\n"),
        lambda pem, _: f"Certificate:\n    Data: (openssl x509 -text)\n{pem}",
        lambda pem, _: f"\ufeff{pem}trailing text",
        lambda pem, _: "\n".join(f"  {line}" for line in pem.splitlines()),
        lambda pem, other: pem + other,
        lambda pem, _: pem.strip(),
    ],
    ids=["CRLF", "leading-text", "BOM-and-trailing-text", "indented", "chain", "no-final-newline"],
)
def test_reads_the_first_certificate_of_a_text(key_pem: bytes, other_key_pem: bytes, change) -> None:
    key, other = domain_key.load_key(key_pem), domain_key.load_key(other_key_pem)
    pem = domain_key.ca_certificate(key, "alice").decode()
    text = change(pem, domain_key.ca_certificate(other, "issuer").decode()).encode()
    assert domain_key.certificate_public_der(text) == domain_key.public_der(key)
    assert domain_key.certificate_common_name(text) == "alice"
    assert domain_key.certificate_pem(domain_key.load_certificate(text)).decode() == pem


def test_accepts_an_expired_certificate(key_pem: bytes) -> None:
    """As the master issues them (Kuscia facts 5.4)."""
    key = domain_key.load_key(key_pem)
    text = certificate_of(key, not_after="1980-01-01").encode()
    assert domain_key.certificate_public_der(text) == domain_key.public_der(key)


@pytest.mark.parametrize(
    "text",
    [
        lambda _: "",
        lambda _: " \n",
        lambda _: "garbage",
        lambda _: "zertifikat: äöü\x00",
        lambda pem: pem[:300],
        lambda pem: "".join(pem.splitlines()[1:-1]),
        lambda pem: pem.replace("CERTIFICATE", "CERTIFICATE REQUEST"),
        lambda pem: pem.replace("CERTIFICATE", "PUBLIC KEY"),
        lambda pem: pem.replace("M", "N"),
        lambda _: certificate_of(ec.generate_private_key(ec.SECP256R1())),
        lambda _: certificate_of(dsa.generate_private_key(2048)),
        lambda _: certificate_of(ed25519.Ed25519PrivateKey.generate()),
    ],
    ids=[
        "empty", "blank", "garbage", "not-ascii", "truncated", "without-armor", "request", "public-key", "altered",
        "EC", "DSA", "Ed25519",
    ],
)  # fmt: skip
def test_rejects_invalid_certificates(key_pem: bytes, text) -> None:
    pem = domain_key.ca_certificate(domain_key.load_key(key_pem), "alice").decode()
    for read in (domain_key.certificate_public_der, domain_key.certificate_common_name):
        with pytest.raises(domain_key.InvalidCertificate):
            read(text(pem).encode())


@pytest.mark.parametrize("after", [True, False])
def test_rejects_a_private_key_next_to_a_certificate_without_printing_it(
    key_pem: bytes, capsys: pytest.CaptureFixture[str], after: bool
) -> None:
    certificate = domain_key.ca_certificate(domain_key.load_key(key_pem), "alice")
    text = certificate + key_pem if after else key_pem + certificate
    with pytest.raises(domain_key.InvalidCertificate) as error:
        domain_key.load_certificate(text)
    logger.info("%s %s", error.value, text.decode())
    secret_lines = set(key_pem.decode().splitlines()[1:-1])
    assert not secret_lines & set(capsys.readouterr().out.splitlines())


# SEQUENCE, SET, SEQUENCE, OID 2.5.4.3 (commonName) and the string: tag 0x13 PrintableString, 0x0c UTF8String. These are
# the bytes that pkix.Name of Go marshals to.
@pytest.mark.parametrize(
    ("common_name", "der"),
    [
        ("alice", "3010310e300c06035504031305616c696365"),
        ("kuscia-system", "301831163014060355040313" + "0d6b75736369612d73797374656d"),
        ("a_b", "300e310c300a06035504030c03615f62"),
        ("a*b", "300e310c300a06035504030c03612a62"),
        ("a&b", "300e310c300a06035504030c03612662"),
        ("é", "300d310b3009060355040" + "30c02c3a9"),
    ],
)
def test_names_are_encoded_as_in_go(common_name: str, der: str) -> None:
    assert domain_key.distinguished_name(common_name).public_bytes().hex() == der


def test_client_certificate_issuer_equals_the_ca_of_the_node(key_pem: bytes) -> None:
    """Kuscia compares the encoded issuer with the subject of its CA, which Go encodes (Kuscia facts 16.6)."""
    go_subject = bytes.fromhex("3010310e300c06035504031305616c696365")
    key = domain_key.load_key(key_pem)
    client = x509.load_pem_x509_certificate(domain_key.client_certificate(key, "alice")[0])
    own = x509.load_pem_x509_certificate(domain_key.ca_certificate(key, "alice"))
    assert client.issuer.public_bytes() == go_subject
    assert own.subject.public_bytes() == own.issuer.public_bytes() == go_subject
    assert client.subject.public_bytes() == bytes.fromhex("3017311530130603550403130c") + b"kuscia-hooks"


def server_context(
    tmp_path: Path, key: rsa.RSAPrivateKey, domain_id: str, mutual: bool, name: str = "kusciaapi", begin: float = -1
) -> ssl.SSLContext:
    """TLS as a node serves it: its certificate is signed by the domain key and names a key identifier.

    Args:
        begin: days until the certificate is valid.
    """
    server_key = rsa.generate_private_key(65537, 2048)
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "KusciaAPI")]))
        .issuer_name(domain_key.distinguished_name(domain_id))
        .public_key(server_key.public_key())
        .serial_number(2)
        .not_valid_before(now + datetime.timedelta(days=begin))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain = tmp_path / "server.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + _pem(server_key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=domain_key.ca_certificate(key, domain_id).decode())
    return context


@pytest.mark.parametrize("protocol", ["TLS", "MTLS"])
def test_accepts_server_with_domain_key(tmp_path: Path, key_pem: bytes, kuscia: Kuscia, protocol) -> None:
    key = domain_key.load_key(key_pem)
    with (
        serve(kuscia, server_context(tmp_path, key, "alice", protocol == "MTLS")) as endpoint,
        KusciaAPI(endpoint, protocol, "alice", key) as client,
    ):
        client.ready()


def test_rejects_server_with_other_key(tmp_path: Path, key_pem: bytes, other_key_pem: bytes, kuscia: Kuscia) -> None:
    with (
        serve(kuscia, server_context(tmp_path, domain_key.load_key(other_key_pem), "alice", False)) as endpoint,
        KusciaAPI(endpoint, "TLS", "alice", domain_key.load_key(key_pem)) as client,
        fails("kusciaapi-certificate-mismatch"),
    ):
        client.ready()
    assert kuscia.asked == []


def test_waits_for_a_node_whose_clock_is_ahead(tmp_path: Path, key_pem: bytes, kuscia: Kuscia) -> None:
    """A node makes its certificate when it starts."""
    key = domain_key.load_key(key_pem)
    with (
        serve(kuscia, server_context(tmp_path, key, "alice", False, begin=0.1)) as endpoint,
        KusciaAPI(endpoint, "TLS", "alice", key) as client,
        fails("kusciaapi-certificate-not-yet-valid"),
    ):
        client.ready()
    assert kuscia.asked == []


def test_rejects_engine_of_the_same_domain(tmp_path: Path, key_pem: bytes, kuscia: Kuscia) -> None:
    """Engines have certificates that are signed with the domain key, too (Kuscia facts 1.8)."""
    key = domain_key.load_key(key_pem)
    with (
        serve(kuscia, server_context(tmp_path, key, "alice", False, name="psi-0.alice.svc")) as endpoint,
        KusciaAPI(endpoint, "TLS", "alice", key) as client,
        fails("kusciaapi-certificate-mismatch"),
    ):
        client.ready()
    assert kuscia.asked == []


def test_reports_missing_client_certificate(tmp_path: Path, key_pem: bytes, kuscia: Kuscia) -> None:
    key = domain_key.load_key(key_pem)
    with (
        serve(kuscia, server_context(tmp_path, key, "alice", True)) as endpoint,
        KusciaAPI(endpoint, "TLS", "alice", key) as client,
        fails("kusciaapi-protocol-mismatch") as error,
    ):
        client.ready()
    assert "MTLS" in error.value.fix
    assert kuscia.asked == []
