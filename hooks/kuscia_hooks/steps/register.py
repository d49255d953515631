"""`register`: create a Domain for each lite, and a Secret with its deploy token that the lite may read."""

import base64
from dataclasses import dataclass
from typing import Any

from kuscia_hooks.cluster.client import Conflict, Kube
from kuscia_hooks.core.config import Admission, Register
from kuscia_hooks.core.errors import PermanentError, Problem, RetryableError, StepError, invalid, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.core.text import quoted
from kuscia_hooks.core.waiting import Deadline, until
from kuscia_hooks.kuscia import domain_key
from kuscia_hooks.kuscia.api import KusciaAPI, open_api
from kuscia_hooks.kuscia.api_errors import Exists
from kuscia_hooks.steps import Context, Outcome

TOKEN_KEY = "token"  # noqa: S105
TOKEN_SECONDS = 60
AUTH_CENTER = {"authentication_type": "Token", "token_gen_method": "RSA-GEN"}


@dataclass(frozen=True)
class State:
    """The present state of one domain.

    Args:
        domain: the response of `domain/query`; None if the master has no such domain.
        token: data of the Secret with the deploy token; None if it does not exist.
    """

    domain: dict[str, Any] | None
    token: dict[str, bytes] | None


def wanted_public(domain_id: str, admission: Admission) -> bytes | None:
    """Return the public key of the certificate in the values; None if the values have no certificate.

    Raises:
        ConfigError: it is not a certificate, or not one of this domain.
    """
    if not admission.cert:
        return None
    path = f"domains.{domain_id}.cert"
    try:
        public = domain_key.certificate_public_der(admission.cert.encode())
        common_name = domain_key.certificate_common_name(admission.cert.encode())
    except ValueError as error:
        rule = (
            f"must be a PEM certificate ({error}). The partner prints it with: kubectl get configmap "
            f"kuscia-lite-{domain_id}-domain-cert -n <namespace> -o jsonpath='{{.data.domain\\.crt}}'"
        )
        raise invalid("register", [Problem("invalid-certificate", path, rule)]) from error
    if common_name != domain_id:
        rule = f"must be the certificate of domain {domain_id}"
        raise invalid("register", [Problem("invalid-certificate", path, rule, f"certificate of domain {common_name}")])
    return public


def stored_public(domain: dict[str, Any]) -> bytes | None:
    """Return the public key that the master has for a domain; None if it has none.

    KusciaAPI also stores certificates in other forms than base64 of PEM. Their key is b"", which equals no key.
    """
    if not domain.get("cert"):
        return None
    try:
        return domain_key.certificate_public_der(base64.b64decode(domain["cert"]))
    except ValueError:
        return b""


def unused_token(domain: dict[str, Any]) -> str:
    """Return the unused deploy token of a domain; "" if it has none yet."""
    statuses = domain.get("deploy_token_statuses") or []
    return next((status["token"] for status in statuses if status["state"] == "unused"), "")


def plan_domain(domain_id: str, admission: Admission, state: State) -> Plan:
    """Return the changes for one domain. The Secret comes last; its token is the payload, unless not known yet.

    Raises:
        PermanentError: the domain is registered with a different key.
    """
    public = wanted_public(domain_id, admission)
    secret = admission.token_secret
    actions: list[Action] = []
    if state.domain is None:
        if secret and state.token is not None:
            actions.append(Action("delete", "Secret", secret, "from an earlier state of the master"))
        actions.append(Action("create", "Domain", domain_id, payload=admission.cert))
        if secret:
            actions.append(Action("create", "Secret", secret))
        return Plan(tuple(actions))
    stored = stored_public(state.domain)
    if public is not None and stored != public:
        if stored is not None and not admission.allow_rekey:
            raise PermanentError(
                "registered-with-different-key",
                f"domain {domain_id} is registered with a different key than domains.{domain_id}.cert contains: the "
                "key of the lite was lost or replaced, or the certificate is wrong",
                fix="restore the Secret with the key of the lite; or, if the new key is right, set "
                f"master.domains.{domain_id}.allowRekey: true for one upgrade",
            )
        reason = "new key" if stored is not None else "admitted by certificate"
        actions.append(Action("update", "Domain", domain_id, reason, payload=admission.cert))
    if secret:
        token = unused_token(state.domain)
        present = (state.token or {}).get(TOKEN_KEY, b"").decode(errors="replace")
        if state.token is None:
            actions.append(Action("create", "Secret", secret, payload=token))
        elif (stored is None or admission.allow_rekey) and present != token:
            # Kuscia does not check the token of a registered lite again, so its Secret is kept (Kuscia facts 0.12).
            actions.append(Action("update", "Secret", secret, "not the current unused token", payload=token))
    objects = 1 + bool(secret)
    return Plan(tuple(actions), unchanged=objects - len(actions))


class _Registrar:
    def __init__(self, config: Register, kube: Kube, api: KusciaAPI, deadline: Deadline) -> None:
        self._config, self._kube, self._api, self._deadline = config, kube, api, deadline
        self._owner: dict[str, str] | None = None

    def state(self, domain_id: str, admission: Admission) -> State:
        domain = self._api.find("domain/query", {"domain_id": domain_id})
        token = None
        if admission.token_secret:
            token = self._kube.secret(self._config.namespace, admission.token_secret)
        return State(domain, token)

    def apply(self, domain_id: str, action: Action) -> None:
        if action.kind == "Domain":
            change = self._create if action.verb == "create" else self._update
            change(domain_id, action.payload)
        elif action.verb == "delete":
            self._kube.delete_secret(self._config.namespace, action.name)
        else:
            self._write_token(domain_id, action)

    def _write_token(self, domain_id: str, action: Action) -> None:
        namespace, token = self._config.namespace, action.payload or self._fresh_token(domain_id)
        data = {TOKEN_KEY: token.encode()}
        if action.verb == "create":
            try:
                self._kube.create_secret(namespace, action.name, data, self._config.labels, self.owner())
                return
            except Conflict:
                logger.info("Secret %s/%s was created concurrently", namespace, action.name)
        self._kube.set_secret(namespace, action.name, data, self.owner())

    def _create(self, domain_id: str, cert: str | None) -> None:
        body: dict[str, Any] = {"domain_id": domain_id, "auth_center": AUTH_CENTER}
        if cert:
            body["cert"] = _encoded(cert)
        try:
            self._api.call("domain/create", body)
        except Exists:
            logger.info("Domain %s was created concurrently", domain_id)

    def _update(self, domain_id: str, cert: str) -> None:
        # The request replaces the whole Domain: fields that it omits are lost (Kuscia facts 5.5).
        domain = self._api.call("domain/query", {"domain_id": domain_id})
        self._api.call(
            "domain/update",
            {
                "domain_id": domain_id,
                "role": domain.get("role") or "",
                "cert": _encoded(cert),
                "master_domain_id": domain.get("master_domain_id") or self._config.domain_id,
                "auth_center": domain.get("auth_center") or AUTH_CENTER,
            },
        )

    def _fresh_token(self, domain_id: str) -> str:
        def ask() -> str:
            token = unused_token(self._api.call("domain/query", {"domain_id": domain_id}))
            if not token:
                raise RetryableError(
                    "deploy-token-pending",
                    f"the master has not generated a deploy token for domain {domain_id} yet",
                    see=f"kubectl get pods -n {quoted(self._config.namespace)}",
                )
            return token

        return until(f"the deploy token of domain {domain_id}", ask, self._deadline.within(TOKEN_SECONDS))

    def owner(self) -> dict[str, str] | None:
        if self._owner is None and self._config.owner is not None:
            name = self._config.owner.service
            uid = self._kube.service_uid(self._config.namespace, name)
            self._owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": uid}
        return self._owner


def _encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def attempt(settings: Register, context: Context) -> Outcome:
    """Make the changes for every domain; one that fails does not block the others.

    Raises:
        RetryableError, PermanentError: some domains failed; all others are done.
    """
    kube, deadline, summary = context.kube, context.deadline, context.summary
    for domain_id, admission in settings.domains.items():
        wanted_public(domain_id, admission)
    summary.unchanged = summary.failed = 0
    errors: list[StepError] = []
    with open_api(kube, settings.namespace, settings.key_secret, settings.api, settings.domain_id, deadline) as api:
        registrar = _Registrar(settings, kube, api, deadline)
        for domain_id, admission in settings.domains.items():
            try:
                todo = plan_domain(domain_id, admission, registrar.state(domain_id, admission))
                if context.dry_run:
                    logger.info("%s:\n%s", domain_id, todo)
                    continue
                for action in todo.actions:
                    registrar.apply(domain_id, action)
                    logger.info("%s", action)
                    summary.count([action])
                summary.unchanged += todo.unchanged
            except StepError as error:
                summary.failed += 1
                errors.append(error)
    if errors:
        raise merged(errors)
    return context.outcome()
