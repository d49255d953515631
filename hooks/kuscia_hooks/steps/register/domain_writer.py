"""The Domains of the step `register`: reads, plans and changes them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kuscia_hooks.cluster.ledger import Entries, digest
from kuscia_hooks.cluster.ownership import Block, changed_concurrently
from kuscia_hooks.core.config.register import Register
from kuscia_hooks.core.errors import StepError, merged
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Exists, Missing
from kuscia_hooks.kuscia.batches import in_batches, query_in_batches
from kuscia_hooks.kuscia.concurrency import each
from kuscia_hooks.kuscia.domains import (
    WantedDomain,
    create_body,
    key_conflict,
    plan_domains,
    same_domain,
    update_body,
)
from kuscia_hooks.steps import Context


class DomainWriter:
    """The Domains: reads, plans and changes them.

    Args:
        wanted: the domains whose values are valid.

    Attributes:
        present: the wanted domains and those of the ledger as `domain/batchQuery` returns them; None if absent.
    """

    block = Block("Domain", "master.adopt.domains", "master.prune.domains")

    def __init__(
        self,
        config: Register,
        wanted: Mapping[str, WantedDomain],
        api: KusciaAPI,
        entries: Entries,
        context: Context,
    ) -> None:
        self._config, self._wanted, self._api = config, wanted, api
        self.entries, self._context = entries, context
        self.present: dict[str, Mapping[str, Any] | None] = {}

    def read(self) -> None:
        """Read all domains in batches.

        Most domains of the ledger exist: a batch that fails is halved. Of the others, either most are missing or none.
        """
        new = sorted(self._config.domains.keys() - set(self.entries))
        found = query_in_batches(sorted(self.entries), self._ask, self._context.reads)
        for batch in in_batches(new):
            found |= self._read_new(batch)
        self.present = {name: found.get(name) for name in (*self.entries, *new)}

    def _ask(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        answer = self._api.call("domain/batchQuery", {"domain_ids": list(ids)})
        return {domain["domain_id"]: domain for domain in answer["domains"]}

    def _read_new(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return those of the domains that exist; one by one if one is missing."""
        try:
            return self._ask(ids)
        except Missing:
            if len(ids) == 1:
                return {}
        found: dict[str, Mapping[str, Any]] = {}

        def query(domain_id: str) -> None:
            domain = self._api.find("domain/query", {"domain_id": domain_id})
            if domain is not None:
                found[domain_id] = domain

        failed = each(ids, query, self._context.reads)
        if failed:
            raise merged([error for _, error in failed])
        return found

    def conflicts(self) -> dict[str, StepError]:
        """Return the error of each domain that is registered with a different key than the values have."""
        found = {name: key_conflict(name, wanted, self.present[name]) for name, wanted in self._wanted.items()}
        return {name: error for name, error in found.items() if error is not None}

    def plan(self, failed: Collection[str]) -> Plan:
        """Return the plan for all domains but the failed ones."""
        return plan_domains(
            {name: wanted for name, wanted in self._wanted.items() if name not in failed},
            self.present,
            {name for name in self.entries if name not in failed},
            adopt=self._config.adopt,
            prune=self._config.prune,
        )

    def content(self, entry: str) -> str:
        """Return the `digest` of the key of a domain; see `Writer.content`."""
        public = self._wanted[entry].public
        return digest(public.hex() if public else "")

    def apply(self, action: Action) -> None:
        """Create, update or delete a Domain; see `Writer.apply`."""
        if action.verb == "create":
            self._create(action.name, action.payload)
        elif action.verb == "update":
            present = self._api.call("domain/query", {"domain_id": action.name})
            self._api.call("domain/update", update_body(action.payload, present, self._config.domain_id))
        else:
            self._delete(action.name)

    def _create(self, domain_id: str, wanted: WantedDomain) -> None:
        try:
            self._api.call("domain/create", create_body(domain_id, wanted))
        except Exists as error:
            # The answer to the first of two equal requests was lost, or another client was faster.
            found = self._api.find("domain/query", {"domain_id": domain_id})
            if found is None or not same_domain(wanted, found):
                raise changed_concurrently("Domain", domain_id) from error

    def _delete(self, domain_id: str) -> None:
        try:
            self._api.call("domain/delete", {"domain_id": domain_id})
        except Missing:
            # Its absence is what was wanted: the answer to the first of two equal requests was lost.
            return
