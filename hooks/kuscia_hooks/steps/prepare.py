"""`prepare`: wait for what a Kuscia pod needs, one after the other, then write its kuscia.yaml."""

import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core import termination, trust, yaml_text
from kuscia_hooks.core.config.common import SecretKey, TokenSecret
from kuscia_hooks.core.config.datastore import Database, Sqlite
from kuscia_hooks.core.config.engines import Engines
from kuscia_hooks.core.config.prepare import Prepare
from kuscia_hooks.core.errors import RetryableError, StepWarning
from kuscia_hooks.core.log import logger, warn
from kuscia_hooks.core.text import quoted
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.kuscia import datastore, domain_key, engine_namespace, gateway, kernel, registration
from kuscia_hooks.kuscia.gateway_trust import trust_master
from kuscia_hooks.kuscia.kuscia_yaml import load_base, merged_config, refused_keys, render
from kuscia_hooks.kuscia.master_restart import MasterRestart
from kuscia_hooks.kuscia.start_record import start_record
from kuscia_hooks.steps import Context, Outcome

T = TypeVar("T")

POD_RESOLV_CONF = Path("/etc/resolv.conf")
LOOPBACK = "127.0.0.1"
# Kuscia requires a token, but a master that has the key of the domain ignores it (Kuscia facts 0.12, 16.2).
NO_TOKEN = "admitted-by-key"  # noqa: S105


@dataclass(frozen=True)
class Settings:
    """The options of the command.

    Args:
        config: the file prepare.yaml.
        base: path of kuscia.yaml without its secrets.
        output: path of the complete kuscia.yaml.
    """

    config: Prepare
    base: str
    output: str


def write_resolv_confs(directory: Path) -> None:
    """Write the two files that Kuscia writes itself as root (Kuscia facts 1.5).

    `resolv.conf` points the pod at the DNS server of Kuscia, which forwards to those of `upstream-resolv.conf`.
    """
    write(str(directory / "resolv.conf"), f"nameserver {LOOPBACK}\n", 0o644)
    write(str(directory / "upstream-resolv.conf"), POD_RESOLV_CONF.read_text(), 0o644)


def write(path: str, text: str, mode: int = 0o640) -> None:
    """Replace a file atomically; by default its owner and group can read it."""
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.chmod(temporary, mode)
    os.replace(temporary, target)


@dataclass
class _StartValues:
    """The values that the pod starts with.

    Args:
        kuscia_yaml: the configuration without the values of Secrets.
        secrets: the value read from each Secret, except for the deploy token, which the master accepts only once.
    """

    key: bytes = field(repr=False)
    kuscia_yaml: dict[str, Any] = field(repr=False)
    secrets: dict[SecretKey, bytes] = field(repr=False)
    endpoint: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    kubeconfig: str | None = field(default=None, repr=False)
    dns: list[str] = field(default_factory=list)


def attempt(settings: Settings, context: Context) -> Outcome:
    """Wait for each requirement in turn, then write kuscia.yaml.

    A wait can take days, and Secrets can change during it. All values that are written were valid at the same
    time.

    Raises:
        ConfigError: the configuration of the step is invalid.
        DeadlineExceeded: the deadline passed.
    """
    config, kube, deadline = settings.config, context.kube, context.deadline
    base = load_base(settings.base, config)
    if config.datastore is not None:
        for warning in datastore.warnings(config.datastore):
            warn(warning)
    values = _wait_for_values(config, base, kube, deadline)
    while changed := _changed(config.namespace, values.secrets, kube):
        logger.info("re-checking: these Secrets changed or became unreadable: %s", ", ".join(changed))
        values = _wait_for_values(config, base, kube, deadline)
    directory = Path(settings.output).parent
    if config.rootless:
        write_resolv_confs(directory)
    if values.kubeconfig is not None:
        write(str(directory / "kubeconfig"), values.kubeconfig)
    write(settings.output, render(values.kuscia_yaml, values.key, values.endpoint, values.token, values.dns))
    recorded = [(secret, value) for secret, value in values.secrets.items() if secret != _kubeconfig_secret(config)]
    termination.write(json.dumps(start_record(values.key, recorded, values.dns) | {"kernel": kernel.parameters()}))
    logger.info("wrote %s", settings.output)
    return Outcome(f"ready after {deadline.elapsed():.1f}s")


def _wait_for_values(config: Prepare, base: Mapping[str, Any], kube: Kube, deadline: Deadline) -> _StartValues:
    """Wait for each requirement in turn, and return the values."""
    # Kuscia itself trusts the bundle, too.
    until("the CA bundle", trust.bundle, deadline)
    name = config.key_secret.name
    key = until(f"the domain key in Secret {config.namespace}/{name}", lambda: _key(config, kube), deadline)
    extra = config.extra_config_secret
    what = f"the configuration in Secret {config.namespace}/{extra.name}" if extra else "the configuration"
    complete, raw = until(what, lambda: _complete(config, base, kube), deadline)
    values = _StartValues(key, complete, {config.key_secret: key})
    settings, kubeconfig_secret = config.engines, _kubeconfig_secret(config)
    if settings is not None:
        where = f"the engine namespace {settings.namespace}"
        # A separate wait, because it sends many requests and the wait for the namespace may be long.
        until(where, lambda: _rights(config, base, settings, kube), deadline)
        values.kubeconfig = until(where, lambda: _engines(config, settings, kube), deadline)
        if kubeconfig_secret is not None and values.kubeconfig is not None:
            values.secrets[kubeconfig_secret] = values.kubeconfig.encode()
    if config.datastore is not None:
        values.kuscia_yaml, raw, values.endpoint, password = until(
            "the datastore", lambda: _datastore(config, base, kube), deadline
        )
        if isinstance(config.datastore, Database) and password is not None:
            values.secrets[config.datastore.password_secret] = password
    if extra is not None and raw is not None:
        values.secrets[extra] = raw
    if config.master is not None:
        _wait_for_master(config, config.master.endpoint, values, kube, deadline)
    if config.dns_service:
        values.dns = [until("the address of the DNS Service", lambda: _dns_address(config), deadline)]
    return values


def _wait_for_master(config: Prepare, master: str, values: _StartValues, kube: Kube, deadline: Deadline) -> None:
    """Wait until the master admits the lite, and set the key and the token that it accepts."""
    restart = MasterRestart(deadline.clock)

    def wait(what: str, request: Callable[[], T]) -> T:
        def observed() -> T:
            with restart.observed():
                return request()

        return until(what, observed, deadline)

    wait("the gateway of the master", lambda: _master_gateway(config, kube))
    logger.info("the gateway of the master answers at %s", master)
    wait(f"domain {config.domain_id} at the master", lambda: _known(config, master))
    admission = f"admission of domain {config.domain_id} by the master"
    registered = restart.possible and wait(admission, lambda: _registered(config, kube, master))
    values.key, values.token = wait(admission, lambda: _admitted(config, kube, master))
    values.secrets[config.key_secret] = values.key
    if registered:
        until("the end of the former gateway of the master", restart.check, deadline)


def _changed(namespace: str, secrets: Mapping[SecretKey, bytes], kube: Kube) -> list[str]:
    """Return the Secrets that have a different value now, or cannot be read."""

    def now(secret: SecretKey) -> bytes | None:
        try:
            return kube.secret_value(namespace, secret.name, secret.key)
        except RetryableError:
            # The next wait for it reports why.
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
    """Return the kubeconfig for engine pods, or None for the ServiceAccount, once the namespace is claimed."""
    where, kubeconfig = engine_namespace.reach(settings, config.namespace, kube)
    engine_namespace.claim(settings, config.domain_id, where)
    engine_namespace.report_left_behind(settings, config.domain_id, where)
    return kubeconfig


def _complete(config: Prepare, base: Mapping[str, Any], kube: Kube) -> tuple[dict[str, Any], bytes | None]:
    """Return `base` merged with the additional configuration, and the text of its Secret (None without a Secret)."""
    if config.extra_config_secret is None:
        return dict(base), None
    extra, raw = _extra_config(config, config.extra_config_secret, kube)
    return merged_config(base, extra), raw


def _extra_config(config: Prepare, secret: SecretKey, kube: Kube) -> tuple[dict[str, Any], bytes]:
    """Return the additional configuration in a Secret, parsed and as its text."""
    raw = kube.secret_value(config.namespace, secret.name, secret.key)
    where = f"{secret.key} of Secret {config.namespace}/{secret.name}"
    edit = f"kubectl edit secret {quoted(secret.name)} -n {quoted(config.namespace)}"
    try:
        extra = yaml_text.read(raw)
    except yaml_text.YAMLError as error:
        # The text of the error quotes the Secret, so it is not shown.
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise RetryableError("invalid-extra-config", f"{where} is not valid YAML{place}", fix=edit) from error
    if not isinstance(extra, dict):
        raise RetryableError(
            "invalid-extra-config", f"{where} is not a YAML mapping such as clusterToken: <token>", fix=edit
        )
    refused = refused_keys(extra, config.extra_config_refused)
    if refused:
        raise RetryableError(
            "extra-config-key-rejected",
            "\n".join([f"{where} sets keys that it must not set:", *(f"  {key}" for key in refused)]),
            fix=edit,
        )
    return extra, raw


def _datastore(
    config: Prepare, base: Mapping[str, Any], kube: Kube
) -> tuple[dict[str, Any], bytes | None, str | None, bytes | None]:
    """Return the result of `_complete`, the datastore address and its password; the last two are None for sqlite.

    The configuration is read at each attempt, so that a corrected clusterToken in its Secret takes effect.
    """
    complete, extra = _complete(config, base, kube)
    store = config.datastore
    if not isinstance(store, Database):
        if store is not None:
            datastore.check_sqlite(store)
            _warn_of_lost_state(config, store, None, kube)
        return complete, extra, None, None
    password = datastore.read_password(store, config.namespace, kube)
    warnings = datastore.check_database(store, password, datastore.cluster_token(complete))
    _warn_of_lost_state(config, store, password, kube)
    for warning in warnings:
        warn(warning)
    return complete, extra, datastore.endpoint(store, password), password.encode()


def _warn_of_lost_state(config: Prepare, store: Database | Sqlite, password: str | None, kube: Kube) -> None:
    """Warn if the datastore is empty although the ledger has objects: it was replaced, or its state is lost."""
    if config.ledger is None:
        return
    recorded = kube.configmap(config.namespace, config.ledger) or {}
    if all(value in ("", "{}") for value in recorded.values()) or datastore.has_state(store, password):
        return
    warn(
        StepWarning(
            "cluster-state-empty",
            "the datastore is empty, but this release has created domains or routes before: the master starts as a new "
            "cluster, with new deploy tokens and without jobs and data of the former one",
            fix="to keep the former state, restore master.datastore or its backup now; otherwise set "
            "master.jobs.runId to a new text, upgrade the release, and restart the lites",
        )
    )


def _master_gateway(config: Prepare, kube: Kube) -> None:
    if config.master is not None:
        trust_master(kube, config.namespace, config.master)
        gateway.probe(config.master.endpoint)


def _known(config: Prepare, master: str) -> None:
    state = gateway.handshake_state(master, config.domain_id)
    if state in gateway.KNOWN:
        return
    domain = config.domain_id
    token, namespace = config.deploy_token, "<namespace of the master>"
    if token is not None and token.namespace != config.namespace:
        # The Secret is one of a master in the same cluster.
        namespace = quoted(token.namespace)
    see = f"kubectl logs -l app.kubernetes.io/component=register -n {namespace}"
    if state == gateway.UNKNOWN:
        fix = registration.admission_fix(domain)
        raise RetryableError("unknown-domain", f"the master at {master} has no domain {domain}", fix=fix, see=see)
    raise RetryableError(
        "domain-not-admitted",
        f"the master at {master} does not admit domain {domain} (handshake state {state})",
        see=see,
    )


def _registered(config: Prepare, kube: Kube, master: str) -> bool:
    """Return whether the master has the key of the domain, and completed handshakes with it before."""
    key = domain_key.load_key(_key(config, kube))
    try:
        registration.register(master, config.domain_id, NO_TOKEN, key)
    except RetryableError as error:
        if error.id in ("deploy-token-mismatch", "deploy-token-pending"):
            return False
        raise
    return True


def _admitted(config: Prepare, kube: Kube, master: str) -> tuple[bytes, str]:
    """Return the domain key, PEM, and the token to start with, once the master accepts both.

    They are read at each attempt, so that a corrected Secret takes effect.
    """
    pem = _key(config, kube)
    secret, domain = config.deploy_token, config.domain_id
    if secret is None:
        _register(
            config,
            master,
            NO_TOKEN,
            pem,
            RetryableError(
                "certificate-mismatch",
                f"the master at {master} has a different certificate for domain {domain}",
                fix=f"send the certificate in ConfigMap <fullname>-domain-cert to the operator of the master, who sets "
                f"it as master.domains.{domain}.cert, with allowRekey: true if the key changed",
            ),
        )
        return pem, NO_TOKEN
    try:
        token = kube.secret_text(secret.namespace, secret.name, secret.key).strip()
    except RetryableError as error:
        _register(config, master, NO_TOKEN, pem, _unreadable_token(config, secret, error))
        logger.info(
            "the master has this domain key; continuing without a deploy token: [%s] %s", error.id, error.message
        )
        return pem, NO_TOKEN
    mismatch = RetryableError(
        "deploy-token-mismatch",
        f"the master at {master} accepts neither the domain key nor the deploy token in Secret "
        f"{secret.namespace}/{secret.name}, key {secret.key}",
        fix="if the key of the lite was lost or replaced, restore it, or set "
        f"master.domains.{domain}.allowRekey: true in the master release for one upgrade; otherwise put the "
        "unused deploy token of the domain into the Secret",
    )
    _register(config, master, token, pem, mismatch)
    return pem, token


def _unreadable_token(config: Prepare, secret: TokenSecret, error: RetryableError) -> RetryableError:
    """Return the error for a deploy token that cannot be read, with the command of the master that restores it."""
    if error.id != "secret-not-found" or not secret.name.endswith(f"-deploy-token-{config.domain_id}"):
        return error
    namespace = quoted(secret.namespace)
    cronjob = f"kubectl get cronjob -n {namespace} -l app.kubernetes.io/component=reconcile -o name"
    fix = (
        f'upgrade the release of the master, or run: kubectl create job reconcile --from="$({cronjob})" -n {namespace}'
    )
    if secret.namespace == config.namespace:
        invite = f"kubectl kuscia invite {config.domain_id} --token"
        fix += f"; if the master runs in another cluster, its operator runs: {invite}"
    return RetryableError(error.id, error.message, fix=fix, see=error.see)


def _register(config: Prepare, master: str, token: str, pem: bytes, mismatch: RetryableError) -> None:
    """Register the lite. Raises `mismatch` if the master rejects its key and its token."""
    try:
        registration.register(master, config.domain_id, token, domain_key.load_key(pem))
    except RetryableError as error:
        if error.id != "deploy-token-mismatch":
            raise
        message = f"{mismatch.message} ({error.message})"
        raise RetryableError(mismatch.id, message, fix=mismatch.fix, see=mismatch.see or error.see) from error


def _dns_address(config: Prepare) -> str:
    host = str(config.dns_service)
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
    except OSError as error:
        raise RetryableError(
            "dns-service-not-found",
            f"cannot resolve {host}, the Service with the DNS server for engines: {error}",
            see=f"kubectl get service {quoted(host.split('.')[0])} -n {quoted(config.namespace)}",
        ) from error
    return str(found[0][4][0])
