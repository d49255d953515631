"""The ClusterDomainRoutes of the step `routes`: reads, plans and changes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from kuscia_hooks.cluster.ledger import Entries, digest
from kuscia_hooks.cluster.ownership import Block, changed_concurrently
from kuscia_hooks.core.config.routes import Routes
from kuscia_hooks.core.errors import merged
from kuscia_hooks.core.log import logger
from kuscia_hooks.core.plan import Action, Plan
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Exists, Missing, Refused
from kuscia_hooks.kuscia.batches import query_in_batches
from kuscia_hooks.kuscia.concurrency import each
from kuscia_hooks.kuscia.routes import (
    RouteKey,
    create_body,
    normal_route,
    plan_routes,
    same_route,
    wanted_routes,
)
from kuscia_hooks.steps import Context


class RouteWriter:
    """Reads, plans and changes the routes of the values."""

    block = Block("DomainRoute", "master.adopt.routes", "master.prune.routes")

    def __init__(self, config: Routes, api: KusciaAPI, entries: Entries, context: Context) -> None:
        self._config, self._api, self.entries, self._context = config, api, entries, context
        self.wanted = wanted_routes(config)
        self._hashes = {key: digest(normal_route(body)) for key, body in self.wanted.items()}
        self._former: dict[RouteKey, Mapping[str, Any] | None] = {}
        self._claim_renamed()

    def _claim_renamed(self) -> None:
        """Use the entry of a former route for the wanted route that has the same name in Kuscia (facts 6.2)."""
        names = {str(key): key for key in self.wanted}
        for entry in list(self.entries):
            key = RouteKey.of_entry(entry)
            successor = names.get(str(key), key)
            if successor != key:
                self.entries.drop(entry)
                self.entries.claim(successor.entry)

    def plan(self) -> Plan:
        """Read the routes that may differ, and return the plan."""
        adopt, prune = self._config.adopt.routes, self._config.prune.routes
        return plan_routes(self.wanted, self._present(), self.entries, adopt=adopt, prune=prune)

    def _present(self) -> dict[RouteKey, bool | None]:
        """Read the routes whose state does not follow from the ledger, and find lost routes."""
        wanted, hashes = self.wanted, self._hashes
        known: dict[RouteKey, None] = {}
        if not self._context.verify:
            known = dict.fromkeys(key for key in wanted if self.entries.confirmed(key.entry, hashes[key]))
        unwanted = [key for key in map(RouteKey.of_entry, self.entries) if key not in wanted]
        asked = [*known, *unwanted]
        existing = query_in_batches(asked, self._existing, self._context.reads)
        present: dict[RouteKey, bool | None] = {key: None for key in asked if key not in existing}

        def read(key: RouteKey) -> None:
            found = self._api.find("route/query", key.body())
            present[key] = None if found is None else same_route(wanted[key], found)

        failed = each([key for key in wanted if key not in known], read, self._context.reads)
        if failed:
            raise merged([error for _, error in failed])
        return present

    def _existing(self, keys: Sequence[RouteKey]) -> dict[RouteKey, None]:
        """Return those of the routes that exist; another route can have the name of one (Kuscia facts 6.2)."""
        answer = self._api.call("route/status/batchQuery", {"route_keys": [key.body() for key in keys]})
        found = {RouteKey(route["source"], route["destination"]) for route in answer["routes"]}
        return dict.fromkeys(key for key in keys if key in found)

    def content(self, entry: str) -> str:
        """Return the `digest` of a route; see `Writer.content`."""
        return self._hashes[RouteKey.of_entry(entry)]

    def apply(self, action: Action) -> None:
        """Create, replace or delete a route; see `Writer.apply`."""
        key = RouteKey.of_entry(action.entry)
        if action.verb == "create":
            self._create(key, action.payload)
        elif action.verb == "recreate":
            self._replace(key, action.payload)
        else:
            self._delete(key)

    def _create(self, key: RouteKey, body: Mapping[str, Any]) -> None:
        try:
            self._api.call("route/create", dict(body))
        except Exists as error:
            # The answer to the first of two equal requests was lost, or another client was faster.
            found = self._api.find("route/query", key.body())
            if found is None or not same_route(body, found):
                raise changed_concurrently("DomainRoute", str(key)) from error

    def _replace(self, key: RouteKey, body: Mapping[str, Any]) -> None:
        """Delete and create a route. Its domains exist; if the new one is rejected nevertheless, restore the former."""
        # A repeated attempt must not take the absence of the route for its former state.
        former = self._former.setdefault(key, self._api.find("route/query", key.body()))
        self._delete(key)
        try:
            self._create(key, body)
        except Refused:
            if former is not None:
                self._api.call("route/create", create_body(former))
            raise

    def _delete(self, key: RouteKey) -> None:
        try:
            self._api.call("route/delete", key.body())
        except Missing:
            logger.info("DomainRoute %s was already deleted", key)
