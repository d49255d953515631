"""`keys`: create the RSA key of a domain and its certificate. Missing objects are created, nothing is overwritten."""

from dataclasses import dataclass, field

from kuscia_hooks.cluster.client import Conflict, Kube
from kuscia_hooks.core.errors import PermanentError, RetryableError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.core.text import quoted
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.steps import Context, Outcome

KEY = "domain.key"
CERTIFICATE = "domain.crt"
_CONFLICT_SECONDS = 0.2


@dataclass(frozen=True)
class Settings:
    """The options of the command.

    Args:
        key_secret: name of the Secret to create for the key.
        cert_configmap: name of the ConfigMap to create for the certificate.
        existing_secret: name of an existing Secret with the key, used instead; "" for none.
        existing_secret_key: key of the domain key in that Secret.
        labels: labels of the created objects.
    """

    domain_id: str
    namespace: str
    key_secret: str
    cert_configmap: str
    existing_secret: str = ""
    existing_secret_key: str = KEY
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def secret(self) -> str:
        return self.existing_secret or self.key_secret

    @property
    def secret_key(self) -> str:
        return self.existing_secret_key if self.existing_secret else KEY


def plan(settings: Settings, secret: dict[str, bytes] | None, configmap: dict[str, str] | None) -> Plan:
    """Return the objects to create.

    Args:
        secret: data of the Secret with the key; None if it does not exist.
        configmap: data of the ConfigMap with the certificate; None if it does not exist.

    Raises:
        RetryableError: the existing Secret is missing.
        PermanentError: an existing object is incomplete or invalid, or key and certificate do not match.
    """
    name = f"{settings.namespace}/{settings.secret}"
    actions = []
    if secret is None:
        if settings.existing_secret:
            raise RetryableError(
                "existing-secret-not-found",
                f"existingSecret {name} not found",
                fix=f"kubectl create secret generic {quoted(settings.secret)} -n {quoted(settings.namespace)} "
                f"--from-file={quoted(settings.secret_key)}=<PEM file>",
            )
        if configmap is not None:
            raise PermanentError(
                "domain-key-lost",
                f"ConfigMap {settings.namespace}/{settings.cert_configmap} exists, but Secret {name} does not",
                fix=f"restore the Secret from your backup; or, to give the domain a new identity, run: "
                f"{_delete(settings, 'configmap')}",
            )
        actions.append(Action("create", "Secret", name))
        public = None
    else:
        public = _public_key(settings, secret)
    if configmap is None:
        actions.append(Action("create", "ConfigMap", f"{settings.namespace}/{settings.cert_configmap}"))
    else:
        _compare(settings, configmap, public)
    return Plan(tuple(actions), unchanged=2 - len(actions))


def _delete(settings: Settings, *kinds: str) -> str:
    """Return the command that deletes the Secret or the ConfigMap of the domain."""
    names = {"secret": settings.secret, "configmap": settings.cert_configmap}
    objects = " ".join(quoted(f"{kind}/{names[kind]}") for kind in kinds)
    return f"kubectl delete {objects} -n {quoted(settings.namespace)}"


def _public_key(settings: Settings, secret: dict[str, bytes]) -> bytes:
    name = f"{settings.namespace}/{settings.secret}"
    fix = (
        "restore the Secret from your backup; or, to give the domain a new identity, run: "
        f"{_delete(settings, 'secret', 'configmap')}"
    )
    if settings.existing_secret:
        fix = (
            f"put an RSA key of at least {domain_key.KEY_BITS} bits under key {settings.secret_key}; create one with: "
            f"openssl genrsa -traditional {domain_key.KEY_BITS}"
        )
    if settings.secret_key not in secret:
        keys = ", ".join(sorted(secret)) or "none"
        raise PermanentError(
            "domain-key-missing", f"Secret {name}: key {settings.secret_key} not found (keys: {keys})", fix=fix
        )
    try:
        return domain_key.public_der(domain_key.load_key(secret[settings.secret_key]))
    except domain_key.InvalidKey as error:
        raise PermanentError(
            "domain-key-invalid", f"{settings.secret_key} of Secret {name} is not a valid domain key: {error}", fix=fix
        ) from error


def _compare(settings: Settings, configmap: dict[str, str], public: bytes | None) -> None:
    name = f"{settings.namespace}/{settings.cert_configmap}"
    delete = _delete(settings, "configmap")
    recreate = f"to create it from the key, run: {delete}"
    pem = configmap.get(CERTIFICATE, "").encode()
    if not pem:
        raise PermanentError(
            "domain-certificate-invalid", f"ConfigMap {name}: key {CERTIFICATE} not found", fix=recreate
        )
    try:
        owner, common_name = domain_key.certificate_public_der(pem), domain_key.certificate_common_name(pem)
    except ValueError as error:
        raise PermanentError(
            "domain-certificate-invalid",
            f"{CERTIFICATE} of ConfigMap {name} is not a certificate: {error}",
            fix=recreate,
        ) from error
    if owner != public:
        raise PermanentError(
            "domain-certificate-mismatch",
            f"the certificate in ConfigMap {name} does not belong to the key in Secret {settings.namespace}/"
            f"{settings.secret}",
            fix=f"if the key is wrong, restore it from your backup; if the certificate is wrong, run: {delete}",
        )
    if common_name != settings.domain_id:
        raise PermanentError(
            "domain-id-changed",
            f"the certificate in ConfigMap {name} was issued for domain {common_name}, not {settings.domain_id}",
            fix=f"set the domain ID back to {common_name}; or, if you renamed the domain, run: {delete}",
        )


def attempt(settings: Settings, context: Context) -> Outcome:
    """Create what is missing. If another client creates an object at the same time, its object is used.

    Raises:
        RetryableError: another client changes the objects, or their quota, again and again until the deadline.
    """
    summary, kube = context.summary, context.kube
    summary.failed = 0
    while True:
        secret = kube.secret(settings.namespace, settings.secret)
        configmap = kube.configmap(settings.namespace, settings.cert_configmap)
        todo = plan(settings, secret, configmap)
        summary.unchanged = todo.unchanged - summary.created
        if context.dry_run:
            logger.info("%s", todo)
            return context.outcome()
        if not todo.actions:
            return context.outcome()
        action = todo.actions[0]
        try:
            _apply(settings, kube, action, secret)
        except Conflict as error:
            if context.deadline.passed:
                raise
            logger.info("created concurrently, re-reading: %s", error.message)
            context.deadline.pause(_CONFLICT_SECONDS)
            continue
        except StepError:
            summary.failed += 1
            raise
        logger.info("%s", action)
        summary.count([action])


def _apply(settings: Settings, kube: Kube, action: Action, secret: dict[str, bytes] | None) -> None:
    if action.kind == "Secret":
        key = domain_key.new_key()
        kube.create_secret(settings.namespace, settings.secret, {KEY: key}, settings.labels)
        return
    owner = domain_key.load_key((secret or {})[settings.secret_key])
    data = {CERTIFICATE: domain_key.ca_certificate(owner, settings.domain_id).decode()}
    kube.create_configmap(settings.namespace, settings.cert_configmap, data, settings.labels)
