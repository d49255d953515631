"""`prepare`: waits for what a Kuscia pod needs, one after the other, then writes its kuscia.yaml."""

import json
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.config import Database, Engines, Prepare, SecretKey
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.kuscia import datastore, domain_key, engine_namespace, gateway, registration
from kuscia_hooks.kuscia.kuscia_yaml import load_base, merged_config, refused_keys, render
from kuscia_hooks.kuscia.start_record import start_record

POD_RESOLV_CONF = Path("/etc/resolv.conf")
LOOPBACK = "127.0.0.1"
# What is written here the kubelet shows in the pod's status; no right of any API is needed for it.
TERMINATION_LOG = Path("/dev/termination-log")
# Kuscia insists on a token, and does not look at it when it knows the domain's certificate (Kuscia facts
# 16.2).
NO_TOKEN = "admitted-by-certificate"  # noqa: S105
_OWN_CERT = "Give its operator the ConfigMap <fullname>-domain-cert for master.domains.<id>.cert"


def write_resolv_confs(directory: Path) -> None:
    """The two files that Kuscia writes itself when it is root: `resolv.conf` points the pod at Kuscia's own
    DNS, which forwards to the servers of `upstream-resolv.conf` (Kuscia facts 1.5).
    """
    write(str(directory / "resolv.conf"), f"nameserver {LOOPBACK}\n", 0o644)
    write(str(directory / "upstream-resolv.conf"), POD_RESOLV_CONF.read_text(), 0o644)


def write(path: str, text: str, mode: int = 0o640) -> None:
    """Replace the file as a whole; by default readable by owner and group."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.chmod(temporary, mode)
    os.replace(temporary, target)


@dataclass
class _Taken:
    """What the needs were met with.

    Args:
        kuscia_yaml: without what is a secret of its own.
        secrets: what was read of which Secret, but for the deploy token, which is used up once the master takes it.
    """

    key: bytes
    kuscia_yaml: dict[str, Any]
    secrets: dict[SecretKey, bytes]
    endpoint: str | None = None
    token: str | None = None
    kubeconfig: str | None = None
    dns: list[str] = field(default_factory=list)


def run(config: Prepare, base_path: str, output: str, kube: Kube, deadline: Deadline) -> None:
    """Wait for each need in turn, then write.

    A wait may last for days, and what was read before it may be another by then: what is written was all there at the
    same time.

    Raises:
        ConfigError: the step's own configuration is wrong.
        DeadlineExceeded: the deadline passed.
    """
    base = load_base(base_path, config)
    if config.datastore is not None:
        for warning in datastore.warnings(config.datastore):
            logger.warning("%s", warning)
    taken = _take(config, base, kube, deadline)
    while changed := _changed(config.namespace, taken.secrets, kube):
        logger.info("looking again at everything, for this changed or cannot be read: %s", ", ".join(changed))
        taken = _take(config, base, kube, deadline)
    if config.rootless:
        write_resolv_confs(Path(output).parent)
    if taken.kubeconfig is not None:
        write(str(Path(output).parent / "kubeconfig"), taken.kubeconfig)
    write(output, render(taken.kuscia_yaml, taken.key, taken.endpoint, taken.token, taken.dns))
    if TERMINATION_LOG.exists():
        recorded = [(secret, value) for secret, value in taken.secrets.items() if secret != _kubeconfig_secret(config)]
        TERMINATION_LOG.write_text(json.dumps(start_record(taken.key, recorded, taken.dns)))
    logger.info("wrote %s", output)


def _take(config: Prepare, base: Mapping[str, Any], kube: Kube, deadline: Deadline) -> _Taken:
    """Wait for each need in turn."""
    name = config.key_secret.name
    key = until(f"the domain key in Secret {config.namespace}/{name}", lambda: _key(config, kube), deadline)
    extra = config.extra_config_secret
    what = f"the configuration in Secret {config.namespace}/{extra.name}" if extra else "the configuration"
    complete, raw = until(what, lambda: _complete(config, base, kube), deadline)
    taken = _Taken(key, complete, {config.key_secret: key})
    settings, kubeconfig_secret = config.engines, _kubeconfig_secret(config)
    if settings is not None:
        where = f"the namespace of engines, {settings.namespace},"
        # By itself, since it asks the API server for a lot: the wait for the namespace may be long.
        until(where, lambda: _rights(config, base, settings, kube), deadline)
        taken.kubeconfig = until(where, lambda: _engines(config, settings, kube), deadline)
        if kubeconfig_secret is not None and taken.kubeconfig is not None:
            taken.secrets[kubeconfig_secret] = taken.kubeconfig.encode()
    if config.datastore is not None:
        taken.kuscia_yaml, raw, taken.endpoint, password = until(
            "the datastore", lambda: _datastore(config, base, kube), deadline
        )
        if isinstance(config.datastore, Database) and password is not None:
            taken.secrets[config.datastore.password_secret] = password
    if extra is not None and raw is not None:
        taken.secrets[extra] = raw
    if config.master is not None:
        master = config.master.endpoint
        until("the master's gateway", lambda: gateway.probe(master), deadline)
        logger.info("the master's gateway answers at %s", master)
        until(f"the master to know domain {config.domain_id}", lambda: _known(config, master), deadline)
        taken.key, taken.token = until(
            "the master to admit the domain", lambda: _admitted(config, kube, master), deadline
        )
        taken.secrets[config.key_secret] = taken.key
    if config.dns_service:
        taken.dns = [until("the own Service's address", lambda: _address(str(config.dns_service)), deadline)]
    return taken


def _changed(namespace: str, secrets: Mapping[SecretKey, bytes], kube: Kube) -> list[str]:
    """Which of the Secrets hold another value by now, or cannot be read."""

    def now(secret: SecretKey) -> bytes | None:
        try:
            return kube.secret_value(namespace, secret.name, secret.key)
        except RetryableError:
            # Whoever reads it next says why, and waits.
            return None

    return [f"Secret {namespace}/{secret.name}" for secret, value in secrets.items() if now(secret) != value]


def _kubeconfig_secret(config: Prepare) -> SecretKey | None:
    return config.engines.kubeconfig_secret if config.engines else None


def _key(config: Prepare, kube: Kube) -> bytes:
    pem, _ = domain_key.read_key(kube, config.namespace, config.key_secret)
    return pem


def _rights(config: Prepare, base: Mapping[str, Any], settings: Engines, kube: Kube) -> None:
    where, _ = engine_namespace.reach(settings, config.namespace, kube)
    engine_namespace.check_rights(settings, bool((base.get("runk") or {}).get("enableLogging")), where)


def _engines(config: Prepare, settings: Engines, kube: Kube) -> str | None:
    """The kubeconfig for engine pods, or None, once what Kuscia will do there is allowed."""
    where, kubeconfig = engine_namespace.reach(settings, config.namespace, kube)
    engine_namespace.claim(settings, config.domain_id, where)
    engine_namespace.report_left_behind(settings, config.domain_id, where)
    return kubeconfig


def _complete(config: Prepare, base: Mapping[str, Any], kube: Kube) -> tuple[dict[str, Any], bytes | None]:
    """`base` with what the configuration's Secret adds, and that Secret's text; None where there is none."""
    if config.extra_config_secret is None:
        return dict(base), None
    extra, raw = _extra_config(config, config.extra_config_secret, kube)
    return merged_config(base, extra), raw


def _extra_config(config: Prepare, secret: SecretKey, kube: Kube) -> tuple[dict[str, Any], bytes]:
    """What the Secret adds to kuscia.yaml, and its text as it is."""
    raw = kube.secret_value(config.namespace, secret.name, secret.key)
    where = f"{secret.key} of Secret {config.namespace}/{secret.name}"
    show = f"kubectl edit secret {secret.name} -n {config.namespace}"
    try:
        extra = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        # The error itself quotes the text.
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise RetryableError("unclassified-retryable", f"{where} is not YAML{place}", see=show) from error
    if not isinstance(extra, dict):
        raise RetryableError("unclassified-retryable", f"{where} holds no mapping, such as clusterToken: …", see=show)
    refused = refused_keys(extra, config.extra_config_refused)
    if refused:
        raise RetryableError(
            "unclassified-retryable",
            "\n".join([f"{where} has keys that do not belong there:", *(f"  {key}" for key in refused)]),
            see=show,
        )
    return extra, raw


def _datastore(
    config: Prepare, base: Mapping[str, Any], kube: Kube
) -> tuple[dict[str, Any], bytes | None, str | None, bytes | None]:
    """What `_complete` returns, the address for Kuscia, and the password in it; the last two None for sqlite.

    The configuration is read again at each try: a wrong clusterToken in its Secret is mended there.
    """
    complete, extra = _complete(config, base, kube)
    store = config.datastore
    if not isinstance(store, Database):
        if store is not None:
            datastore.check_sqlite(store)
        return complete, extra, None, None
    password = datastore.read_password(store, config.namespace, kube)
    for warning in datastore.check_database(store, password, datastore.cluster_token(complete)):
        logger.warning("%s", warning)
    return complete, extra, datastore.endpoint(store, password), password.encode()


def _known(config: Prepare, master: str) -> None:
    state = gateway.handshake_state(master, config.domain_id)
    if state in gateway.KNOWN:
        return
    reason = "does not know it yet" if state == gateway.UNKNOWN else f"answers state {state}"
    raise RetryableError(
        "unclassified-retryable",
        f"{master} {reason}: the master's release has to name it under master.domains.{config.domain_id}",
        see="kubectl logs -l app.kubernetes.io/component=register -n <the master's namespace>",
    )


def _admitted(config: Prepare, kube: Kube, master: str) -> tuple[bytes, str]:
    """The domain key, PEM, and the token to start with, once the master takes both.

    They are read again at every try: a wrong one is mended in its Secret.
    """
    pem = _key(config, kube)
    secret = config.deploy_token
    if secret is None:
        reason = f"the master has another certificate for it. {_OWN_CERT}"
        return pem, _register(config, master, NO_TOKEN, pem, reason)
    token = kube.secret_text(secret.namespace, secret.name, secret.key).strip()
    reason = (
        f"the token in Secret {secret.namespace}/{secret.name}, key {secret.key}, is not the domain's unused "
        "one. If the lite's key was lost or replaced, restore it, or set master.domains.<id>.allowRekey: "
        "true once"
    )
    return pem, _register(config, master, token, pem, reason)


def _register(config: Prepare, master: str, token: str, pem: bytes, reason: str) -> str:
    try:
        registration.register(master, config.domain_id, token, domain_key.load_key(pem))
    except RetryableError as error:
        raise RetryableError("unclassified-retryable", f"{error.message} ({reason})", see=error.see) from error
    return token


def _address(host: str) -> str:
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise RetryableError(
            "unclassified-retryable",
            f"{host} does not resolve: {error}",
            see=f"kubectl get service {host.split('.')[0]}",
        ) from error
    return str(found[0][4][0])
