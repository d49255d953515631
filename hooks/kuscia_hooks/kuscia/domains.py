"""Domains of a master: those in the values, request bodies, and the difference to the existing ones."""

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kuscia_hooks.core.config.domains import Domain
from kuscia_hooks.core.errors import PermanentError, Problem, invalid
from kuscia_hooks.core.plan import Action, Plan, plan_owned
from kuscia_hooks.core.text import printable
from kuscia_hooks.kuscia import domain_key

AUTH_CENTER = {"authentication_type": "Token", "token_gen_method": "RSA-GEN"}


@dataclass(frozen=True)
class WantedDomain:
    """One domain of the values.

    Args:
        cert: its certificate as PEM; "" if the values have none.
        public: the public key of the certificate; None without one.
        allow_rekey: replace a different key that the master has.
    """

    cert: str = ""
    public: bytes | None = None
    allow_rekey: bool = False


def wanted_domain(domain_id: str, domain: Domain) -> WantedDomain:
    """Return a domain of the values.

    Raises:
        ConfigError: the certificate is not one, or belongs to a different domain.
    """
    if not domain.cert:
        return WantedDomain(allow_rekey=domain.allow_rekey)
    try:
        certificate = domain_key.load_certificate(domain.cert.encode())
        cert = domain_key.certificate_pem(certificate)
        common_name = domain_key.certificate_common_name(cert)
    except domain_key.InvalidCertificate as error:
        rule = (
            f"must be a PEM certificate ({error}). The partner prints it with: kubectl get configmap "
            f"kuscia-lite-{domain_id}-domain-cert -n <namespace> -o jsonpath='{{.data.domain\\.crt}}'"
        )
        raise _invalid_certificate(domain_id, rule) from error
    if common_name != domain_id:
        rule = f"must be the certificate of domain {domain_id}"
        raise _invalid_certificate(domain_id, rule, f"certificate of domain {printable(common_name)}")
    return WantedDomain(cert.decode(), domain_key.certificate_public_der(cert), domain.allow_rekey)


def _invalid_certificate(domain_id: str, rule: str, value: str = "") -> PermanentError:
    return invalid("register", [Problem("invalid-certificate", f"domains.{domain_id}.cert", rule, value)])


def stored_public(domain: Mapping[str, Any]) -> bytes | None:
    """Return the public key that the master has for a domain; None if it has none.

    KusciaAPI also stores certificates in other forms than base64 of PEM. Their key is b"", which equals no key.
    """
    if not domain.get("cert"):
        return None
    try:
        return domain_key.certificate_public_der(base64.b64decode(domain["cert"]))
    except ValueError:
        return b""


def unused_token(domain: Mapping[str, Any]) -> str:
    """Return the unused deploy token in an answer of `domain/query`; "" if it has none yet."""
    statuses = domain.get("deploy_token_statuses") or []
    return next((str(status["token"]) for status in statuses if status["state"] == "unused"), "")


def key_conflict(domain_id: str, wanted: WantedDomain, present: Mapping[str, Any] | None) -> PermanentError | None:
    """Return the error for a domain that is registered with a different key than the values have; None if it is not."""
    stored = None if present is None else stored_public(present)
    if stored is None or wanted.public in (None, stored) or wanted.allow_rekey:
        return None
    return PermanentError(
        "registered-with-different-key",
        f"domain {domain_id} is registered with a different key than domains.{domain_id}.cert contains: the key of the "
        "lite was lost or replaced, or the certificate is wrong",
        fix="restore the Secret with the key of the lite; or, if the new key is right, set "
        f"master.domains.{domain_id}.allowRekey: true for one upgrade",
    )


def same_domain(wanted: WantedDomain, present: Mapping[str, Any]) -> bool:
    """Return whether a domain is as wanted. Keys are compared, since the master issues its own certificates."""
    return wanted.public is None or stored_public(present) == wanted.public


def plan_domains(
    wanted: Mapping[str, WantedDomain],
    present: Mapping[str, Mapping[str, Any] | None],
    ledger: Collection[str],
    *,
    adopt: bool = False,
    prune: bool = False,
) -> Plan:
    """Return the plan for Domains; see `plan_owned`. The domains with a key conflict must not be among them."""

    def explained(action: Action) -> Action:
        if action.why != "changed":
            return action
        rekeyed = stored_public(present[action.name] or {}) is not None
        return replace(action, why="new key" if rekeyed else "admitted by certificate")

    plan = plan_owned("Domain", wanted, present, ledger, same_domain, adopt=adopt, prune=prune)
    return replace(plan, actions=tuple(map(explained, plan.actions)))


def create_body(domain_id: str, wanted: WantedDomain) -> dict[str, Any]:
    """Return the body of `domain/create`."""
    body: dict[str, Any] = {"domain_id": domain_id, "auth_center": AUTH_CENTER}
    return body | {"cert": _encoded(wanted.cert)} if wanted.cert else body


def update_body(wanted: WantedDomain, present: Mapping[str, Any], master_id: str) -> dict[str, Any]:
    """Return the body of `domain/update`. It replaces the whole Domain: what it omits is lost (Kuscia facts 5.5).

    Args:
        present: the answer of `domain/query`.
        master_id: ID of the master, for a domain that names none.
    """
    return {
        "domain_id": present["domain_id"],
        "role": present.get("role") or "",
        "cert": _encoded(wanted.cert),
        "master_domain_id": present.get("master_domain_id") or master_id,
        "auth_center": present.get("auth_center") or AUTH_CENTER,
    }


def _encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
