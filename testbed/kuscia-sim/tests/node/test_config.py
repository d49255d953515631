"""kuscia.yaml as Kuscia reads it (Kuscia facts 2)."""

import base64
import binascii
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kuscia_sim import credentials
from kuscia_sim.node.config import (
    Config,
    ConfigError,
    DomainKeyError,
    Endpoint,
    first_illegal_base64,
    load,
    load_key,
    parse,
)

KEY = credentials.new_key()


def test_reads_lite_configuration() -> None:
    config = parse(
        """
        mode: Lite
        domainID: alice
        protocol: tls
        liteDeployToken: secret-token
        masterEndpoint: https://master.example:1080/kuscia
        runtime: runk
        runk: {namespace: lite-alice, dnsServers: [10.0.0.1], kubeconfigFile: null, enableLogging: true}
        capacity: {cpu: 4, memory: 8Gi, pods: "500", storage: 100Gi}
        kusciaAPISans: [kuscia-lite-alice]
        agent: {provider: {k8s: {labelsToAdd: {a: b}}}}
        secretBackends: [{name: ignored}]
        noSuchKey: {deep: [1]}
        """
    )
    assert (config.mode, config.domain_id, config.protocol) == ("lite", "alice", "TLS")
    assert config.runk.dns_servers == ("10.0.0.1",)
    assert config.runk.enable_logging
    assert (config.capacity.cpu, config.capacity.pods) == ("4", "500")
    assert config.kuscia_api_sans == ("kuscia-lite-alice",)
    assert config.reserved_resources.memory == "500Mi"
    assert config.agent["provider"]["k8s"]["labelsToAdd"] == {"a": "b"}


@pytest.mark.parametrize(
    ("protocol", "mode", "gateway_tls", "api"),
    [
        ("NOTLS", "master", False, "NOTLS"),
        ("TLS", "lite", True, "TLS"),
        ("MTLS", "lite", True, "MTLS"),
        ("null", "master", True, "MTLS"),
        ("null", "lite", False, "MTLS"),
    ],
)
def test_protocol_matrix(protocol: str, mode: str, gateway_tls: bool, api: str) -> None:
    config = parse(f"mode: {mode}\ndomainID: alice\nprotocol: {protocol}\n")
    assert (config.gateway_tls, config.api_protocol) == (gateway_tls, api)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mode: bogus\ndomainID: a", "Load kuscia config failed. not support run mode: bogus"),
        ("mode: Bogus\ndomainID: a", "Load kuscia config failed. not support run mode: bogus"),
        ("mode: lite", "Load kuscia config failed. kuscia config domain should not be empty"),
        (
            "mode: lite\ndomainID: master",
            "Domain id can't be 'master', please check input config file(k.yaml)",
        ),
        ("mode: lite\ndomainID: a\nprotocol: ''", "is unsupported"),
        ("mode: lite\ndomainID: a\nprotocol: https", "https is unsupported"),
        ("mode: lite\ndomainID: {a: b}\nprotocol: https", "Load kuscia common config failed. yaml: unmarshal errors"),
        ("mode: lite\ndomainID: a\nprotocol: [TLS]", "cannot unmarshal !!seq into string (protocol)"),
        ("mode: lite\ndomainID: a\nrunk: [x]", "cannot unmarshal !!seq into map (runk)"),
        (
            "mode: lite\ndomainID: a\nrunk: {dnsServers: x}",
            "cannot unmarshal !!str into []string (dnsServers)",
        ),
        (
            "mode: bogus\ndomainID: {a: b}",
            "Load kuscia common config failed. yaml: unmarshal errors: cannot unmarshal !!map into string (domainID)",
        ),
        (
            "mode: lite\ndomainID: a\nruntime: [x]",
            "Load kuscia config failed. yaml: unmarshal errors: cannot unmarshal !!seq into string (runtime)",
        ),
        ("mode: lite\ndomainID: master\nlogLevel: [x]", "Load kuscia common config failed. "),
        ("a: b: c", "Load kuscia common config failed. yaml: "),
        ("- a", "the file is not a mapping"),
        ("", "not support run mode: "),
    ],
)
def test_rejects_invalid_configuration(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "k.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_reports_missing_file() -> None:
    with pytest.raises(ConfigError, match="open /nonexistent: no such file or directory"):
        load("/nonexistent")


@pytest.mark.parametrize("pkcs8", [False, True])
def test_reads_pkcs1_and_pkcs8_keys(pkcs8: bool) -> None:
    data = credentials.b64(credentials.key_pem(KEY, pkcs8))
    assert load_key(data).private_numbers() == KEY.private_numbers()


EC_KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
EC_PKCS8 = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
NO_KEY = b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"no PEM", "invalid private key, should be PEM block format"),
        (EC_KEY, "private key type [EC PRIVATE KEY] not supported, must be RSA"),
        (EC_PKCS8, "invalid PKCS8 private key"),
        (NO_KEY, "asn1: structure error"),
    ],
)
def test_rejects_invalid_keys(pem: bytes, reason: str) -> None:
    with pytest.raises(DomainKeyError, match=r"^can't parse key$") as error:
        load_key(base64.b64encode(pem).decode())
    assert error.value.before == ("tls/crypt.go:337", f"load key data failed: {reason}, try key file")


def test_rejects_key_that_is_not_base64() -> None:
    with pytest.raises(DomainKeyError, match=r"^illegal base64 data at input byte 3$") as error:
        load_key("not base64")
    assert error.value.before == (
        "tls/crypt.go:310", "Decoded keyData error: illegal base64 data at input byte 3"
    )  # fmt: skip


def test_uses_stored_key_when_none_is_given(tmp_path: Path) -> None:
    kept = tmp_path / "ca.key"
    with pytest.raises(DomainKeyError, match=r"^can't parse key$") as error:
        load_key("", kept)
    text = f"load key file failed: open {kept}: no such file or directory"
    assert error.value.before == ("tls/crypt.go:344", text)
    kept.write_text(credentials.key_pem(KEY))
    assert load_key("", kept).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "Domain key data is empty. Please provide a valid domainKeyData."),
        ("not base64", "Load domain key file error: illegal base64 data at input byte 3"),
        (
            credentials.b64("no PEM"),
            "load key data failed: invalid private key, should be PEM block format, try key file\n"
            "Decode domain key data error: can't parse key",
        ),
    ],
)
def test_lite_requires_key_while_reading_file(tmp_path: Path, data: str, message: str) -> None:
    for mode in ("lite", "master"):
        (tmp_path / mode).write_text(f"mode: {mode}\ndomainID: alice\ndomainKeyData: '{data}'\n")
    assert load(str(tmp_path / "master")).domain_key_data == data
    with pytest.raises(ConfigError) as error:
        load(str(tmp_path / "lite"))
    assert str(error.value) == message


def test_illegal_base64_agrees_with_the_decoder() -> None:
    for text in (
        "",
        "QQ==",
        "QUI=",
        "QUJD",
        "QUJD\nQUJD",
        "Q",
        "QQ",
        "QQ=",
        "QQ=x",
        "Q===",
        "QUI=x",
        "QQ==QQ==",
    ):
        try:
            base64.b64decode(text.replace("\n", ""), validate=True)
            legal = True
        except binascii.Error:
            legal = False
        assert (first_illegal_base64(text) is None) == legal, text


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://m", Endpoint(False, "m", 80, "")),
        ("https://m:1080/a/b", Endpoint(True, "m", 1080, "/a/b")),
        ("https://10.0.0.1", Endpoint(True, "10.0.0.1", 443, "")),
    ],
)
def test_parses_endpoints(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint


@pytest.mark.parametrize("url", ["m:1080", "ftp://m", "", "http://m:x"])
def test_rejects_invalid_endpoints(url: str) -> None:
    with pytest.raises(ValueError, match=r"invalid host|invalid syntax"):
        Endpoint.parse(url)


def test_repr_hides_secrets() -> None:
    config = Config("lite", "alice", domain_key_data="KEY", lite_deploy_token="TOKEN", datastore_endpoint="DSN")
    assert not {"KEY", "TOKEN", "DSN"} & set(repr(config).replace("'", " ").split())
    for secret in ("KEY", "TOKEN", "DSN"):
        assert secret not in repr(config)
