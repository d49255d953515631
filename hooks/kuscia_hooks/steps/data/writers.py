"""The data source, tables and grants of the step `data`: reads, plans and changes them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kuscia_hooks.cluster.ledger import Entries, digest
from kuscia_hooks.cluster.ownership import Block, changed_concurrently
from kuscia_hooks.core.config.data import Data
from kuscia_hooks.core.errors import PermanentError, StepError, merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan, plan_owned
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Exists, Missing, Refused
from kuscia_hooks.kuscia.batches import in_batches
from kuscia_hooks.kuscia.concurrency import ConcurrencyLimit, each
from kuscia_hooks.kuscia.domain_data import is_built_in, same_grant, same_source, same_table

# What KusciaAPI returns for a data source encrypted for a domain key that the node no longer has (Kuscia facts 12.3).
UNREADABLE = "decrypt data source info failed"

Body = dict[str, Any]


class SourceWriter:
    """The data source.

    Args:
        wanted: request bodies by ID.
        former: whether the data source belongs to the release although the ledger does not list it: earlier versions
            of the chart listed only tables and grants.
    """

    block = Block("DomainDataSource", "lite.data.adopt", "lite.data.prune")

    def __init__(
        self, config: Data, api: KusciaAPI, entries: Entries, wanted: Mapping[str, Body], former: bool
    ) -> None:
        self._config, self._api, self.entries, self._wanted = config, api, entries, wanted
        self._owned = {*entries, *(wanted if former else ())}

    def plan(self) -> Plan:
        """Return the plan. The data source that the lite created itself is changed as one of the release."""
        present = {name: self._find(name) for name in sorted({*self._wanted, *self._owned})}
        built_in = any(
            found is not None and is_built_in(name, found) and not same_source(self._wanted[name], found)
            for name, found in present.items()
            if name in self._wanted
        )
        adopt, prune = self._config.adopt or built_in, self._config.prune
        plan = plan_owned(self.block.kind, self._wanted, present, self._owned, same_source, adopt=adopt, prune=prune)
        if not built_in:
            return plan
        explained = (
            replace(action, why="created by the lite") if action.verb == "update" else action for action in plan.actions
        )
        return replace(plan, actions=tuple(explained))

    def _find(self, name: str) -> Any | None:
        try:
            return self._api.find("domaindatasource/query", self._key(name))
        except Refused as error:
            if UNREADABLE not in error.text:
                raise
            logger.info("data source %s is encrypted for a different domain key; rewriting it", name)
            # Nobody can use it any more, so it belongs to the release.
            self._owned.add(name)
            return {}

    def _key(self, name: str) -> dict[str, str]:
        return {"domain_id": self._config.domain_id, "datasource_id": name}

    def content(self, entry: str) -> str:
        """Return the `digest` that the ledger records of the data source; see `Writer.content`."""
        # The hash of a body with access keys would let the keys be guessed.
        return digest(entry)

    def apply(self, action: Action) -> None:
        """Create, update or delete the data source; see `Writer.apply`."""
        if action.verb == "delete":
            self._api.call("domaindatasource/delete", self._key(action.name))
        elif action.verb == "update":
            self._api.call("domaindatasource/update", action.payload)
        else:
            try:
                self._api.call("domaindatasource/create", action.payload)
            except Exists as error:
                found = self._find(action.name)
                if found is None or not (is_built_in(action.name, found) or same_source(action.payload, found)):
                    raise changed_concurrently(self.block.kind, action.name) from error
                self._api.call("domaindatasource/update", action.payload)


class TableWriter:
    """The tables.

    Args:
        present: tables in Kuscia by ID; None if a table does not exist.
    """

    block = Block("DomainData", "lite.data.adopt", "lite.data.prune")

    def __init__(self, config: Data, api: KusciaAPI, entries: Entries, concurrency: ConcurrencyLimit) -> None:
        self._config, self._api, self.entries = config, api, entries
        self._wanted: Mapping[str, Body] = {}
        self.present = self._read(sorted({*(table.id for table in config.tables), *entries}), concurrency)

    def _read(self, names: list[str], concurrency: ConcurrencyLimit) -> dict[str, Any | None]:
        present: dict[str, Any | None] = dict.fromkeys(names)

        def query(batch: Sequence[str]) -> None:
            # Missing tables are left out of the answer (Kuscia facts 7.4).
            body = {"data": [self._key(name) for name in batch]}
            answer = self._api.call("domaindata/batchQuery", body)
            present.update({table["domaindata_id"]: table for table in answer["domaindata_list"]})

        batches = in_batches(names)
        if failed := each(batches, query, concurrency):
            raise merged([error for _, error in failed])
        return present

    def _key(self, name: str) -> dict[str, str]:
        return {"domain_id": self._config.domain_id, "domaindata_id": name}

    def taken(self) -> dict[str, StepError]:
        """Return the errors of tables whose ID a table of another domain has, by ID."""
        return {
            name: _taken("table", name, found["author"])
            for name, found in self.present.items()
            if found is not None and found.get("author", self._config.domain_id) != self._config.domain_id
        }

    def is_foreign(self, body: Body) -> bool:
        """Return whether a table exists with different content and does not belong to the release."""
        name = body["domaindata_id"]
        found = self.present[name]
        owned = self._config.adopt or name in self.entries
        return found is not None and not owned and not same_table(body, found)

    def plan(self, wanted: Mapping[str, Body], skipped: Collection[str]) -> Plan:
        """Return the plan.

        Args:
            wanted: request bodies by ID.
            skipped: tables of the values that have an error; they stay as they are.
        """
        self._wanted = wanted
        owned = set(self.entries) - set(skipped)
        adopt, prune = self._config.adopt, self._config.prune
        return plan_owned(self.block.kind, wanted, self.present, owned, same_table, adopt=adopt, prune=prune)

    def content(self, entry: str) -> str:
        """Return the `digest` that the ledger records of a table; see `Writer.content`."""
        return digest(self._wanted[entry])

    def apply(self, action: Action) -> None:
        """Create, update or delete a table; see `Writer.apply`."""
        if action.verb != "delete":
            # Creating an existing table updates it (Kuscia facts 0.15).
            self._api.call("domaindata/create", action.payload)
            return
        try:
            self._api.call("domaindata/delete", self._key(action.name))
        except Missing:
            logger.info("%s %s was already deleted", action.kind, action.name)


class GrantWriter:
    """The grants."""

    block = Block("DomainDataGrant", "lite.data.adopt", "lite.data.prune")

    def __init__(self, config: Data, api: KusciaAPI, entries: Entries) -> None:
        self._config, self._api, self.entries = config, api, entries
        self._wanted: Mapping[str, Body] = {}
        answer = api.call("domaindatagrant/list", {"data": {"domain_id": config.domain_id}})
        self._listed = {grant["data"]["domaindatagrant_id"]: grant for grant in answer["domaindatagrant_list"]}

    def taken(self, names: Collection[str]) -> dict[str, StepError]:
        """Return the errors of grants whose ID a grant of another domain has, by ID."""
        return {
            name: _taken("grant", name, author)
            for name in names
            if name in self._listed and (author := self._listed[name]["data"]["author"]) != self._config.domain_id
        }

    def plan(self, wanted: Mapping[str, Body], skipped: Collection[str]) -> Plan:
        """Return the plan; see `TableWriter.plan`."""
        self._wanted = wanted
        owned = set(self.entries) - set(skipped)
        present = {name: self._listed.get(name) for name in {*wanted, *owned}}
        adopt, prune = self._config.adopt, self._config.prune
        return plan_owned(self.block.kind, wanted, present, owned, same_grant, adopt=adopt, prune=prune)

    def content(self, entry: str) -> str:
        """Return the `digest` that the ledger records of a grant; see `Writer.content`."""
        return digest(self._wanted[entry])

    def _key(self, name: str) -> dict[str, str]:
        return {"domain_id": self._config.domain_id, "domaindatagrant_id": name}

    def apply(self, action: Action) -> None:
        """Create, update or delete a grant; see `Writer.apply`."""
        if action.verb == "delete":
            try:
                self._api.call("domaindatagrant/delete", self._key(action.name))
            except Missing:
                logger.info("%s %s was already deleted", action.kind, action.name)
            return
        try:
            self._api.call(f"domaindatagrant/{action.verb}", action.payload)
        except Exists as error:
            found = self._api.find("domaindatagrant/query", self._key(action.name))
            if found is None or not same_grant(action.payload, found):
                raise changed_concurrently(self.block.kind, action.name) from error


def _taken(kind: str, name: str, author: str) -> StepError:
    return PermanentError(
        "id-taken-by-partner",
        f"{kind} {name} of domain {author} is granted to this domain, which cannot use the same ID",
        fix="rename the table in lite.data.tables",
    )
