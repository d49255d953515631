"""The Secrets with deploy tokens of the step `register`: reads, plans and changes them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from kuscia_hooks.cluster.client import StoredSecret
from kuscia_hooks.cluster.ledger import Entries
from kuscia_hooks.cluster.ownership import Block
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.errors import DeadlineExceeded, StepError
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.core.text import first_of
from kuscia_hooks.core.waiting import until
from kuscia_hooks.kuscia import deploy_tokens
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.concurrency import each
from kuscia_hooks.kuscia.deploy_tokens import (
    Expected,
    TokenKey,
    TokenSecrets,
    plan_tokens,
    recorded_content,
    stored_token,
)
from kuscia_hooks.kuscia.domains import unused_token
from kuscia_hooks.steps import Context

TOKEN_SECONDS = 60
Failures = dict[str, StepError]
"""Errors by domain ID."""


class TokenWriter:
    """The Secrets with deploy tokens: reads, plans and changes them.

    `domain/batchQuery` does not return tokens (Kuscia facts 7.4). Tokens are therefore queried domain by domain, but
    only where they matter: a registered lite does not need its token again, and the ledger says which Secrets have the
    token that the master had at the last run.
    """

    block = Block("Secret", "master.adopt.domains", "master.prune.domains")

    def __init__(self, config: Register, api: KusciaAPI, entries: Entries, context: Context) -> None:
        self._config, self._api, self.entries, self._context = config, api, entries, context
        self._keys = {
            name: TokenKey(name, domain.token_secret) for name, domain in config.domains.items() if domain.token_secret
        }
        self._writes = TokenSecrets(context.kube, config.namespace, config.labels, config.owner)
        self._secrets: dict[TokenKey, StoredSecret | None] = {}
        self._expected: dict[TokenKey, Expected] = {}
        # What the ledger records of a Secret, by entry.
        self._contents: dict[str, str] = {}

    def read(self, domains: Mapping[str, Mapping[str, Any] | None], failed: Collection[str]) -> Failures:
        """Read the Secrets of all domains but the failed ones, and the tokens they should contain.

        Args:
            domains: the Domains that were read.

        Returns:
            The errors of domains whose Secret or token cannot be read.
        """
        keys = [key for name, key in self._keys.items() if name not in failed]
        failures = self._read_secrets([*keys, *self._unwanted()] if self._config.prune else keys)
        keys = [key for key in keys if key.domain_id not in failures]
        for key in keys:
            domain = domains[key.domain_id]
            spent = domain is not None and bool(domain["cert"]) and not self._allows_rekey(key)
            self._expected[key] = Expected(spent=spent, absent=domain is None)
        unknown = [key for key in keys if self._needs_token(key)]
        known = [] if self._context.verify else [key for key in unknown if self._unchanged(key)]
        # One of them shows whether the master still has the state of the last run.
        tokens, errors = self._query([key.domain_id for key in unknown if key not in known[1:]])
        if any(tokens.get(key.domain_id) != self._token(key) for key in known[:1]):
            more = self._query([key.domain_id for key in known[1:]])
            tokens, errors = tokens | more[0], errors | more[1]
        for key in unknown:
            expected = self._expected[key]
            token = tokens.get(key.domain_id, self._token(key) if key in known else "")
            self._expected[key] = Expected(token, expected.spent, expected.absent)
        return failures | errors

    def _read_secrets(self, keys: Iterable[TokenKey]) -> Failures:
        def read(key: TokenKey) -> None:
            self._secrets[key] = self._context.kube.stored_secret(self._config.namespace, key.secret)

        return {key.domain_id: error for key, error in each(keys, read)}

    def _query(self, ids: Iterable[str]) -> tuple[dict[str, str], Failures]:
        """Return the unused tokens of domains, "" for one that has none yet, and the errors of other domains."""
        tokens: dict[str, str] = {}

        def query(domain_id: str) -> None:
            tokens[domain_id] = unused_token(self._api.call("domain/query", {"domain_id": domain_id}))

        failed = each(ids, query, self._context.reads)
        return tokens, dict(failed)

    def _unwanted(self) -> list[TokenKey]:
        wanted = set(self._keys.values())
        return [key for key in map(TokenKey.of_entry, self.entries) if key not in wanted]

    def _allows_rekey(self, key: TokenKey) -> bool:
        return self._config.domains[key.domain_id].allow_rekey

    def _needs_token(self, key: TokenKey) -> bool:
        expected = self._expected[key]
        return not expected.absent and (self._secrets[key] is None or not expected.spent)

    def _unchanged(self, key: TokenKey) -> bool:
        """Return whether the Secret has what was the unused token of the domain at the last run."""
        secret = self._secrets[key]
        return secret is not None and self.entries.confirmed(
            key.entry, recorded_content(stored_token(secret), spent=False)
        )

    def _token(self, key: TokenKey) -> str:
        secret = self._secrets[key]
        return "" if secret is None else stored_token(secret)

    def plan(self, failed: Collection[str]) -> Plan:
        """Return the plan for the Secrets of all domains but the failed ones."""
        wanted = {key: expected for key, expected in self._expected.items() if key.domain_id not in failed}
        ours = {
            key for key in map(TokenKey.of_entry, self.entries) if key.domain_id not in failed and self._is_ours(key)
        }
        ours |= {key for key in wanted if self._is_ours(key)}
        plan = plan_tokens(wanted, self._secrets, ours, adopt=self._config.adopt, prune=self._config.prune)
        left_out = {*failed, *(key.domain_id for key in wanted if self._config.adopt)}
        foreign = {
            key.entry
            for key, secret in self._secrets.items()
            if secret is not None and key not in ours and key.domain_id not in left_out
        }
        # Their entries are those of Secrets that were deleted since, or never created.
        plan = replace(plan, gone=(*plan.gone, *(entry for entry in self.entries if entry in foreign)))
        for key, expected in wanted.items():
            self._contents[key.entry] = recorded_content(self._token(key), expected.spent)
        return plan

    def _is_ours(self, key: TokenKey) -> bool:
        """Return whether this release created a Secret.

        Its labels or owner prove it, or its content if that is what the ledger has. An entry alone is not enough: the
        Secret of this release may have been deleted, and another client may have created one since.
        """
        secret = self._secrets.get(key)
        if secret is None:
            return key.entry in self.entries
        contents = (recorded_content(stored_token(secret), spent) for spent in (False, True))
        return self._writes.proves(secret) or any(self.entries.confirmed(key.entry, content) for content in contents)

    def phases(self, plan: Plan) -> tuple[list[Action], list[Action], list[Action]]:
        """Return the deletions of outdated Secrets, the creates and updates, and the deletions of unwanted Secrets."""
        deleted = [action for action in plan.actions if action.verb == "delete"]
        wanted = {key.entry for key in self._expected}
        return (
            [action for action in deleted if action.entry in wanted],
            [action for action in plan.actions if action.verb != "delete"],
            [action for action in deleted if action.entry not in wanted],
        )

    def with_tokens(self, actions: Iterable[Action]) -> tuple[list[Action], Failures]:
        """Wait for the tokens that the master has not generated yet.

        Args:
            actions: creates and updates of Secrets, whose Domains exist.

        Returns:
            The actions with the tokens as their payloads, and the errors of domains without one.
        """
        actions = list(actions)
        tokens = {domain_of(action): action.payload.token for action in actions}
        pending = {name for name, token in tokens.items() if not token}
        failures: Failures = {}

        def ask() -> None:
            found, errors = self._query(sorted(pending))
            failures.update({name: error for name, error in errors.items() if not error.retryable})
            tokens.update(found)
            pending.difference_update(failures, (name for name, token in found.items() if token))
            if pending:
                raise deploy_tokens.pending(pending, self._config.namespace)

        if pending:
            deadline = self._context.deadline.within(TOKEN_SECONDS)
            try:
                until(f"the deploy tokens of {first_of(sorted(pending), 5)}", ask, deadline)
            except DeadlineExceeded:
                for name in pending:
                    error = deploy_tokens.pending([name], self._config.namespace)
                    failures[name] = DeadlineExceeded(f"the deploy token of {name}", deadline.elapsed(), error)
        ready = (action for action in actions if tokens[domain_of(action)] and domain_of(action) not in failures)
        return [_with_payload(action, tokens[domain_of(action)]) for action in ready], failures

    def content(self, entry: str) -> str:
        """Return what the ledger records of a Secret; see `Writer.content`."""
        return self._contents[entry]

    def apply(self, action: Action) -> None:
        """Create, set or delete a Secret; see `Writer.apply`. One that exists must have the version that was read."""
        key, namespace = TokenKey.of_entry(action.entry), self._config.namespace
        kube, secret = self._context.kube, self._secrets.get(key)
        if action.verb == "delete":
            kube.delete_secret(namespace, action.name, secret.version if secret else "")
            return
        token, expected = action.payload, self._expected[key]
        self._contents[action.entry] = recorded_content(token, expected.spent)
        if action.verb == "create":
            self._writes.create(action.name, token)
        else:
            self._writes.set(action.name, token, secret.version if secret else "")


def domain_of(action: Action) -> str:
    """Return the domain that a change of a Domain or its Secret belongs to."""
    return action.entry.split("/", 1)[0]


def _with_payload(action: Action, token: str) -> Action:
    return Action(action.verb, action.kind, action.name, action.why, action.entry, token)
