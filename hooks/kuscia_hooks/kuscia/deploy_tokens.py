"""Secrets with the deploy tokens of domains: the difference between what they should contain and what they contain."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from kuscia_hooks.cluster.client import Conflict, Kube, StoredSecret
from kuscia_hooks.cluster.ledger import digest
from kuscia_hooks.cluster.ownership import MadeByAnother, changed_concurrently
from kuscia_hooks.core.config.common import Owner
from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.plan import Action, Plan, plan_owned
from kuscia_hooks.core.text import first_of, quoted

TOKEN_KEY = "token"  # noqa: S105


@dataclass(frozen=True)
class TokenKey:
    """The Secret for the deploy token of one domain."""

    domain_id: str
    secret: str

    @property
    def entry(self) -> str:
        """Key in the ledger."""
        return f"{self.domain_id}/{self.secret}"

    @classmethod
    def of_entry(cls, entry: str) -> "TokenKey":
        return cls(*entry.split("/", 1))


@dataclass(frozen=True)
class Expected:
    """What a Secret should contain.

    Args:
        token: the current unused deploy token; "" if the master has none yet.
        spent: the lite is registered, so its Secret is not read again, and may contain any token (Kuscia facts 0.12).
        absent: the master does not have the domain; a token in the Secret is from an earlier state of the master.
    """

    token: str = field(default="", repr=False)
    spent: bool = False
    absent: bool = False


def pending(domains: Collection[str], namespace: str) -> RetryableError:
    """Return the error for domains whose deploy token the master has not generated yet.

    Args:
        namespace: of the master.
    """
    return RetryableError(
        "deploy-token-pending",
        f"the master has not generated a deploy token yet for: {first_of(sorted(domains))}",
        see=f"kubectl get pods -n {quoted(namespace)}",
    )


def stored_token(secret: StoredSecret) -> str:
    return secret.data.get(TOKEN_KEY, b"").decode(errors="replace")


def recorded_content(token: str, spent: bool) -> str:
    """Return what the ledger records of a Secret: 32 bits of a hash, and whether its token was spent at that time."""
    return digest([token, spent])


@dataclass
class TokenSecrets:
    """Creates and sets the Secrets of a namespace.

    Args:
        labels: of the Secrets.
        owner: the Service that the Secrets are deleted with; None for none.
    """

    kube: Kube
    namespace: str
    labels: dict[str, str]
    owner: Owner | None

    def create(self, name: str, token: str) -> None:
        """Create a Secret.

        Raises:
            MadeByAnother: another step of this release, or another copy of the step, created it with the same token.
            RetryableError: `already-exists`: it exists, and has a different token or is not of this release.
        """
        try:
            self.kube.create_secret(self.namespace, name, {TOKEN_KEY: token.encode()}, self.labels, self._reference)
        except Conflict as error:
            found = self.kube.stored_secret(self.namespace, name)
            if found is None or stored_token(found) != token or not self.proves(found):
                raise changed_concurrently("Secret", name) from error
            raise MadeByAnother from error

    def proves(self, secret: StoredSecret) -> bool:
        """Return whether labels or owner of a Secret say that this release created it."""
        labelled = bool(self.labels) and self.labels.items() <= secret.labels.items()
        return labelled or (self.owner is not None and ("Service", self.owner.service) in secret.owners)

    def set(self, name: str, token: str, version: str) -> None:
        """Replace the token in a Secret.

        Args:
            version: of the Secret that was read.
        """
        data = {TOKEN_KEY: token.encode()}
        self.kube.set_secret(self.namespace, name, data, labels=self.labels, version=version, owner=self._reference)

    @cached_property
    def _reference(self) -> dict[str, str] | None:
        if self.owner is None:
            return None
        name = self.owner.service
        uid = self.kube.service_uid(self.namespace, name)
        return {"apiVersion": "v1", "kind": "Service", "name": name, "uid": uid}


def plan_tokens(
    wanted: Mapping[TokenKey, Expected],
    present: Mapping[TokenKey, StoredSecret | None],
    ledger: Collection[TokenKey],
    *,
    adopt: bool = False,
    prune: bool = False,
) -> Plan:
    """Return the plan for the Secrets; see `plan_owned`. The payload of a create or update is the expectation.

    Args:
        ledger: the Secrets that belong to this release.
    """
    outdated = {
        key
        for key, expected in wanted.items()
        if expected.absent and present[key] is not None and (adopt or key in ledger)
    }

    def same(expected: Expected, secret: StoredSecret) -> bool:
        return expected.spent or (bool(expected.token) and stored_token(secret) == expected.token)

    plan = plan_owned(
        "Secret",
        {key.entry: expected for key, expected in wanted.items()},
        {key.entry: None if key in outdated else secret for key, secret in present.items()},
        {key.entry for key in ledger},
        same,
        adopt=adopt,
        prune=prune,
    )
    deletions = [
        Action("delete", "Secret", key.secret, "from an earlier state of the master", entry=key.entry)
        for key in wanted
        if key in outdated
    ]
    actions = (_explained(action) for action in plan.actions)
    foreign, leftover = (tuple(map(_name, entries)) for entries in (plan.foreign, plan.leftover))
    return replace(plan, actions=(*deletions, *actions), foreign=foreign, leftover=leftover)


def _explained(action: Action) -> Action:
    why = "not the current unused token" if action.why == "changed" else action.why
    return replace(action, name=_name(action.entry), why=why)


def _name(entry: str) -> str:
    return TokenKey.of_entry(entry).secret
