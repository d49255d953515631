"""kuscia.yaml as Kuscia reads it (Kuscia facts 2)."""

import base64
import binascii

import pytest

from kuscia_sim import credentials
from kuscia_sim.config import (
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


def test_all_that_a_lite_is_told() -> None:
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
        ("mode: lite", "Load kuscia config failed. kuscia config domain should not be empty"),
        (
            "mode: lite\ndomainID: master",
            "Domain id can't be 'master', please check input config file(k.yaml)",
        ),
        ("mode: lite\ndomainID: a\nprotocol: ''", "is unsupported"),
        ("mode: lite\ndomainID: a\nprotocol: https", "https is unsupported"),
        ("mode: lite\ndomainID: a\nrunk: [x]", "cannot unmarshal !!seq into map (runk)"),
        (
            "mode: lite\ndomainID: a\nrunk: {dnsServers: x}",
            "cannot unmarshal !!str into []string (dnsServers)",
        ),
        ("mode: lite\ndomainID: {a: b}", "cannot unmarshal !!map into string (domainID)"),
        ("a: b: c", "Load kuscia common config failed. yaml: "),
        ("- a", "the file is no mapping"),
        ("", "not support run mode: "),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(text, "k.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="open /nonexistent: no such file or directory"):
        load("/nonexistent")


@pytest.mark.parametrize("pkcs8", [False, True])
def test_keys_of_both_kinds(pkcs8: bool) -> None:
    data = credentials.b64(credentials.key_pem(KEY, pkcs8))
    assert load_key(data).private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "empty"),
        ("not base64", "illegal base64 data at input byte 3"),
        (base64.b64encode(b"no PEM").decode(), "decode pem data failed"),
    ],
)
def test_keys_that_are_none(data: str, message: str) -> None:
    with pytest.raises(DomainKeyError, match=message):
        load_key(data)


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
def test_endpoints(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint


@pytest.mark.parametrize("url", ["m:1080", "ftp://m", "", "http://m:x"])
def test_endpoints_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"invalid host|invalid syntax"):
        Endpoint.parse(url)


def test_secrets_stay_out_of_repr() -> None:
    config = Config("lite", "alice", domain_key_data="KEY", lite_deploy_token="TOKEN", datastore_endpoint="DSN")
    assert not {"KEY", "TOKEN", "DSN"} & set(repr(config).replace("'", " ").split())
    for secret in ("KEY", "TOKEN", "DSN"):
        assert secret not in repr(config)
