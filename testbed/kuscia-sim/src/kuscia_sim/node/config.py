"""kuscia.yaml: the configuration of a node (Kuscia facts 2)."""

import base64
import dataclasses
import hashlib
import re
import string
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

MODES = ("master", "lite", "autonomy")
PROTOCOLS = ("NOTLS", "TLS", "MTLS")
RESERVED_DOMAIN_ID = "master"
COMMON = ("mode", "domainID", "domainKeyData", "logLevel", "protocol")
"""Read before the rest; wrong types have different messages (Kuscia's cmd/kuscia/start/start.go)."""
_PEM = re.compile(rb"-----BEGIN ([^\n]*?)-----\s.*?-----END \1-----", re.DOTALL)
BASE64_ALPHABET = frozenset(string.ascii_letters + string.digits + "+/")


class ConfigError(Exception):
    """The configuration is invalid; str() is the line that Kuscia prints before it exits with status 1."""


class DomainKeyError(Exception):
    """The RSA key is missing or invalid; str() is the text of Kuscia's FATAL line.

    Attributes:
        before: place and text of the ERROR line before it, if any.
    """

    def __init__(self, text: str, before: tuple[str, str] | None = None) -> None:
        super().__init__(text)
        self.before = before


@dataclasses.dataclass(frozen=True)
class Runk:
    """Where a lite runs engines in its host cluster."""

    namespace: str = ""
    dns_servers: tuple[str, ...] = ()
    kubeconfig_file: str = ""
    enable_logging: bool = False
    log_directory: str = ""


@dataclasses.dataclass(frozen=True)
class Capacity:
    """What a lite offers to jobs, as Kubernetes quantities; empty strings for missing values."""

    cpu: str = ""
    memory: str = ""
    bandwidth: str = ""
    pods: str = ""
    storage: str = ""
    ephemeral_storage: str = ""


@dataclasses.dataclass(frozen=True)
class ReservedResources:
    cpu: str = "0.5"
    memory: str = "500Mi"
    bandwidth: str = "10"


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """An http(s) URL split as Kuscia's gateway does; path is "" or starts with "/"."""

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Parse a URL.

        Raises:
            ValueError: another scheme or an invalid port, with Kuscia's text.
        """
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"invalid host: {url}")
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        try:
            port = parts.port
        except ValueError as err:
            text = parts.netloc.rpartition(":")[2]
            raise ValueError(f'strconv.Atoi: parsing "{text}": invalid syntax') from err
        return cls(tls, parts.hostname or "", port or (443 if tls else 80), parts.path)


@dataclasses.dataclass(frozen=True)
class Config:
    """A parsed kuscia.yaml. Unknown keys are dropped, as in Kuscia.

    Attributes:
        mode: "master", "lite" or "autonomy".
        protocol: "NOTLS", "TLS", "MTLS" or "" if missing.
        runtime: "runk", "runp", "runc" or the value in the file.
        agent: the raw `agent` block.
        domain_key_data, lite_deploy_token: secrets, not shown by repr().
    """

    mode: str
    domain_id: str
    domain_key_data: str = dataclasses.field(default="", repr=False)
    log_level: str = "INFO"
    protocol: str = ""
    kuscia_api_sans: tuple[str, ...] = ()
    datastore_endpoint: str = dataclasses.field(default="", repr=False)
    cluster_token: str = dataclasses.field(default="", repr=False)
    lite_deploy_token: str = dataclasses.field(default="", repr=False)
    master_endpoint: str = ""
    runtime: str = ""
    runk: Runk = Runk()
    capacity: Capacity = Capacity()
    reserved_resources: ReservedResources = ReservedResources()
    agent: dict[str, Any] = dataclasses.field(default_factory=dict)
    external_tls: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)
    data_mesh: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def is_master(self) -> bool:
        return self.mode == "master"

    @property
    def k3s_token(self) -> str:
        """Return the token with which K3s encrypts its keys in the datastore (Kuscia's cmd/kuscia/modules/k3s.go)."""
        return self.cluster_token or hashlib.md5(self.domain_id.encode(), usedforsecurity=False).hexdigest()

    @property
    def gateway_tls(self) -> bool:
        """Tell whether port 1080 uses TLS (Kuscia facts 2.7: without `protocol` only on a master)."""
        return self.protocol in ("TLS", "MTLS") or (self.protocol == "" and self.mode != "lite")

    @property
    def api_protocol(self) -> str:
        """Return the protocol of KusciaAPI on 8082: NOTLS, TLS or MTLS (the default)."""
        return self.protocol or "MTLS"


def load(path: str) -> Config:
    """Load the configuration from the file `path`.

    For a lite this includes its key: Kuscia creates the certificate request while it reads the file, before its log is
    set up (GenerateCsrData in cmd/kuscia/confloader/kuscia_config.go).

    Raises:
        ConfigError: the file is invalid, with Kuscia's text (recordings/startup-cases: badmode, noid, reserved).
    """
    try:
        text = Path(path).read_text()
    except OSError as err:
        reason = (err.strerror or str(err)).lower()
        raise ConfigError(f"Load kuscia common config failed. open {path}: {reason}") from err
    config = parse(text, path)
    if config.mode == "lite":
        _check_key_of_lite(config.domain_key_data)
    return config


def parse(text: str, path: str = "kuscia.yaml") -> Config:
    """Parse the text of a file; `path` is only used in messages. See `load`."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as err:
        raise ConfigError(f"Load kuscia common config failed. yaml: {_one_line(err)}") from err
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise ConfigError("Load kuscia common config failed. yaml: unmarshal errors: the file is not a mapping")

    mode, domain_id, domain_key_data, log_level, given_protocol = (_text(raw, key) for key in COMMON)
    protocol = _protocol(given_protocol) if raw.get("protocol") is not None else ""
    if domain_id == RESERVED_DOMAIN_ID:
        raise ConfigError(f"Domain id can't be 'master', please check input config file({path})")
    mode = mode.lower()
    if mode not in MODES:
        raise ConfigError(f"Load kuscia config failed. not support run mode: {mode}")
    if not domain_id:
        raise ConfigError("Load kuscia config failed. kuscia config domain should not be empty")

    runk, capacity, reserved = _block(raw, "runk"), _block(raw, "capacity"), _block(raw, "reservedResources")
    route = _block(raw, "domainRoute")
    return Config(
        mode=mode,
        domain_id=domain_id,
        domain_key_data=domain_key_data,
        log_level=log_level or "INFO",
        protocol=protocol,
        kuscia_api_sans=_texts(raw, "kusciaAPISans"),
        datastore_endpoint=_text(raw, "datastoreEndpoint"),
        cluster_token=_text(raw, "clusterToken"),
        lite_deploy_token=_text(raw, "liteDeployToken"),
        master_endpoint=_text(raw, "masterEndpoint"),
        runtime=_text(raw, "runtime"),
        runk=Runk(
            namespace=_text(runk, "namespace"),
            dns_servers=_texts(runk, "dnsServers"),
            kubeconfig_file=_text(runk, "kubeconfigFile"),
            enable_logging=bool(runk.get("enableLogging")),
            log_directory=_text(runk, "logDirectory"),
        ),
        capacity=Capacity(
            cpu=_text(capacity, "cpu"),
            memory=_text(capacity, "memory"),
            bandwidth=_text(capacity, "bandwidth"),
            pods=_text(capacity, "pods"),
            storage=_text(capacity, "storage"),
            ephemeral_storage=_text(capacity, "ephemeralStorage"),
        ),
        reserved_resources=ReservedResources(
            cpu=_text(reserved, "cpu") or "0.5",
            memory=_text(reserved, "memory") or "500Mi",
            bandwidth=_text(reserved, "bandwidth") or "10",
        ),
        agent=_block(raw, "agent"),
        external_tls=_block(route, "externalTLS"),
        data_mesh=_block(raw, "dataMesh"),
    )


def load_key(domain_key_data: str, kept: Path | None = None) -> RSAPrivateKey:
    """Return the RSA key in `domainKeyData` (base64 of a PKCS#1 or PKCS#8 PEM), or else in the file `kept`.

    Raises:
        DomainKeyError: the key is missing or invalid, with the texts of Kuscia's pkg/utils/tls/crypt.go
            (ParseEncodedKey; recordings/startup-cases/badkey.log).
    """
    if domain_key_data:
        wrong = first_illegal_base64(domain_key_data)
        if wrong is not None:
            text = f"illegal base64 data at input byte {wrong}"
            raise DomainKeyError(text, ("tls/crypt.go:310", f"Decoded keyData error: {text}"))
        return _parse_key(base64.b64decode(domain_key_data))
    if kept is None:
        raise DomainKeyError("init key failed: should not all empty")
    try:
        return parse_rsa_key(kept.read_bytes())
    except (OSError, ValueError) as err:
        text = f"open {kept}: {(err.strerror or str(err)).lower()}" if isinstance(err, OSError) else str(err)
        raise DomainKeyError("can't parse key", ("tls/crypt.go:344", f"load key file failed: {text}")) from err


def parse_rsa_key(data: bytes) -> RSAPrivateKey:
    """Return the key in the first PEM block.

    Go's details about the ASN.1 of an invalid block are not reproduced.

    Raises:
        ValueError: it is not an RSA key, with the text of Kuscia's ParseRSAPrivateKeyData.
    """
    block = _PEM.search(data)
    if block is None:
        raise ValueError("invalid private key, should be PEM block format")
    kind = block[1].decode(errors="replace")
    if kind not in ("RSA PRIVATE KEY", "PRIVATE KEY"):
        raise ValueError(f"private key type [{kind}] not supported, must be RSA")
    try:
        key = serialization.load_pem_private_key(block[0], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise ValueError("asn1: structure error") from err
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("invalid PKCS8 private key")
    return key


def _parse_key(pem: bytes) -> RSAPrivateKey:
    if not pem:
        raise DomainKeyError("init key failed: should not all empty")
    try:
        return parse_rsa_key(pem)
    except ValueError as err:
        before = ("tls/crypt.go:337", f"load key data failed: {err}, try key file")
        raise DomainKeyError("can't parse key", before) from err


def _check_key_of_lite(domain_key_data: str) -> None:
    if not domain_key_data:
        raise ConfigError("Domain key data is empty. Please provide a valid domainKeyData.")
    wrong = first_illegal_base64(domain_key_data)
    if wrong is not None:
        raise ConfigError(f"Load domain key file error: illegal base64 data at input byte {wrong}")
    try:
        load_key(domain_key_data)
    except DomainKeyError as err:
        before = f"{err.before[1]}\n" if err.before else ""
        raise ConfigError(f"{before}Decode domain key data error: {err}") from err


def first_illegal_base64(text: str) -> int | None:
    """Return the index of the first byte that Go's base64.StdEncoding rejects, or None."""
    quantum = 0
    for index, char in enumerate(text):
        if char in "\r\n":
            continue
        if char == "=":
            return _illegal_padding(text, index, quantum)
        if char not in BASE64_ALPHABET:
            return index
        quantum = (quantum + 1) % 4
    return None if quantum == 0 else len(text) - quantum


def _illegal_padding(text: str, index: int, quantum: int) -> int | None:
    if quantum < 2:
        return index
    rest = [at for at in range(index + 1, len(text)) if text[at] not in "\r\n"]
    if quantum == 2:
        if not rest:
            return len(text)
        if text[rest[0]] != "=":
            return rest[0]
        rest = rest[1:]
    return rest[0] if rest else None


def _protocol(given: str) -> str:
    if given.upper() not in PROTOCOLS:
        raise ConfigError(f"Load kuscia common config failed. protocol: {given} is unsupported")
    return given.upper()


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if value is None:
        return ""
    if isinstance(value, dict | list):
        raise _mismatch(key, value, "string")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _texts(raw: dict[str, Any], key: str) -> tuple[str, ...]:
    value = raw.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _mismatch(key, value, "[]string")
    return tuple(str(item) for item in value)


def _block(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _mismatch(key, value, "map")
    return value


def _mismatch(key: str, value: object, wanted: str) -> ConfigError:
    given = {dict: "!!map", list: "!!seq", str: "!!str", bool: "!!bool", int: "!!int"}.get(type(value), "!!float")
    text = f"yaml: unmarshal errors: cannot unmarshal {given} into {wanted} ({key})"
    return ConfigError(f"Load kuscia {'common ' if key in COMMON else ''}config failed. {text}")


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split())
