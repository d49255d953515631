"""`keys`: a domain's RSA key and its certificate. Makes whole objects that are absent, overwrites nothing."""

from dataclasses import dataclass, field

from kuscia_hooks.cluster.client import Conflict, Kube
from kuscia_hooks.core.errors import PermanentError, StepError
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan, Summary
from kuscia_hooks.kuscia import domain_key

KEY = "domain.key"
CERTIFICATE = "domain.crt"


@dataclass(frozen=True)
class Settings:
    """The command's options.

    Args:
        existing_secret: a Secret of the user's own that holds the key instead; "" for none.
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
    """What lacks.

    Raises:
        PermanentError: what is there is half, invalid, or does not belong together; the message names the repair.
    """
    name = f"{settings.namespace}/{settings.secret}"
    actions = []
    if secret is None:
        if settings.existing_secret:
            raise PermanentError(
                "unclassified",
                f"Secret {name}, named as the existing one, does not exist. Make it with: kubectl create "
                f"secret generic {settings.secret} -n {settings.namespace} "
                f"--from-file={settings.secret_key}=<PEM file>",
            )
        if configmap is not None:
            raise PermanentError(
                "unclassified",
                f"ConfigMap {settings.namespace}/{settings.cert_configmap} is there but its key, Secret "
                f"{name}, is not. Restore the Secret from your backup; or, to give the domain a new "
                f"identity, run: kubectl delete configmap {settings.cert_configmap} -n {settings.namespace}",
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


def _public_key(settings: Settings, secret: dict[str, bytes]) -> bytes:
    name = f"{settings.namespace}/{settings.secret}"
    repair = (
        f"Restore it from your backup; or, to give the domain a new identity, run: kubectl delete secret "
        f"{settings.secret} -n {settings.namespace}, and kubectl delete configmap {settings.cert_configmap} "
        f"-n {settings.namespace}"
    )
    if settings.existing_secret:
        repair = f"Put an RSA key of {domain_key.KEY_BITS} bits or more (openssl genrsa -traditional 2048) there"
    if settings.secret_key not in secret:
        has = ", ".join(sorted(secret)) or "nothing"
        raise PermanentError("unclassified", f"Secret {name} has no {settings.secret_key} (it has {has}). {repair}.")
    try:
        return domain_key.public_der(domain_key.load_key(secret[settings.secret_key]))
    except domain_key.InvalidKey as error:
        raise PermanentError(
            "unclassified", f"{settings.secret_key} of Secret {name} is no domain key: {error}. {repair}."
        ) from error


def _compare(settings: Settings, configmap: dict[str, str], public: bytes | None) -> None:
    name = f"{settings.namespace}/{settings.cert_configmap}"
    repair = f"It is made from the key: kubectl delete configmap {settings.cert_configmap} -n {settings.namespace}"
    pem = configmap.get(CERTIFICATE, "").encode()
    if not pem:
        raise PermanentError("unclassified", f"ConfigMap {name} has no {CERTIFICATE}. Run: {repair}.")
    try:
        owner, common_name = domain_key.certificate_public_der(pem), domain_key.certificate_common_name(pem)
    except ValueError as error:
        raise PermanentError(
            "unclassified", f"{CERTIFICATE} of ConfigMap {name} is no certificate: {error}. Run: {repair}."
        ) from error
    if owner != public:
        raise PermanentError(
            "unclassified",
            f"the certificate in ConfigMap {name} does not belong to the key in Secret {settings.namespace}/"
            f"{settings.secret}. If the key is the right one, run: {repair}. If not, restore the key.",
        )
    if common_name != settings.domain_id:
        raise PermanentError(
            "unclassified",
            f"the certificate in ConfigMap {name} is that of domain {common_name}, not of "
            f"{settings.domain_id}. If the domain was renamed on purpose, run: {repair}.",
        )


def attempt(settings: Settings, kube: Kube, summary: Summary, dry_run: bool = False) -> Summary:
    """Make what lacks. Of two writers at the same time the second one takes what the first one made.

    Args:
        summary: counts of earlier attempts; it is added to.
    """
    summary.failed = 0
    while True:
        secret = kube.secret(settings.namespace, settings.secret)
        configmap = kube.configmap(settings.namespace, settings.cert_configmap)
        todo = plan(settings, secret, configmap)
        summary.unchanged = todo.unchanged - summary.created
        if dry_run:
            logger.info("%s", todo)
            return summary
        if not todo.actions:
            return summary
        action = todo.actions[0]
        try:
            _apply(settings, kube, action, secret)
        except Conflict as error:
            logger.info("made by another at the same moment, reading it: %s", error)
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
