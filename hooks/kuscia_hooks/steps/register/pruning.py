"""Deleting Domains that left the values, after the routes that lead to or from them."""

from collections.abc import Collection, Sequence

from kuscia_hooks.cluster.ledger import Ledger
from kuscia_hooks.core import log
from kuscia_hooks.core.errors import PermanentError, StepError, merged
from kuscia_hooks.core.plan import Action
from kuscia_hooks.core.text import first_of
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Missing
from kuscia_hooks.kuscia.changes import make_changes
from kuscia_hooks.kuscia.concurrency import each
from kuscia_hooks.kuscia.routes import RouteKey
from kuscia_hooks.steps import Context
from kuscia_hooks.steps.register.domain_writer import DomainWriter
from kuscia_hooks.steps.register.token_writer import Failures, TokenWriter, domain_of


class _RouteRemover:
    """Deletes routes of the ledger."""

    def __init__(self, api: KusciaAPI, ledger: Ledger) -> None:
        self._api, self.entries = api, ledger.kind("routes")

    def actions(self, domains: Collection[str]) -> list[Action]:
        """Return the deletions of the routes that lead to or from these domains."""
        keys = (RouteKey.of_entry(entry) for entry in self.entries)
        ends = (key for key in keys if {key.source, key.destination} & set(domains))
        return [Action("delete", "DomainRoute", str(key), "its domain is deleted", entry=key.entry) for key in ends]

    def content(self, entry: str) -> str:
        """Raise AssertionError: what is deleted has no wanted content."""
        raise AssertionError(f"{entry} is only deleted")

    def apply(self, action: Action) -> None:
        """Delete a route; see `Writer.apply`."""
        key = RouteKey.of_entry(action.entry)
        if not _exists(key, self._api):
            # Its absence is what was wanted: `routes` may have deleted it.
            return
        try:
            self._api.call("route/delete", key.body())
        except Missing:
            return


def _exists(key: RouteKey, api: KusciaAPI) -> bool:
    """Return whether a route exists; another route can have its name (Kuscia facts 6.2)."""
    route = api.find("route/query", key.body())
    return route is not None and (route["source"], route["destination"]) == (key.source, key.destination)


def prune(
    domain_actions: Sequence[Action],
    token_actions: Sequence[Action],
    domains: DomainWriter,
    tokens: TokenWriter,
    api: KusciaAPI,
    ledger: Ledger,
    context: Context,
) -> Failures:
    """Delete Domains and Secrets of this release that are no longer in its values, and return the errors by domain.

    The routes of this release to and from a Domain are deleted first, its Secret before the Domain. A Domain that other
    routes use stays, with its Secret.

    Args:
        domain_actions: deletions of Domains.
        token_actions: deletions of Secrets, also of domains that are still in the values.
    """
    failures: Failures = {}
    used: set[str] = set()
    names = {action.name for action in domain_actions}
    routes = _RouteRemover(api, ledger)
    for action, error in make_changes(routes.actions(names), routes, ledger, context.concurrency, context.summary):
        key = RouteKey.of_entry(action.entry)
        failures.update(dict.fromkeys(names & {key.source, key.destination}, error))
    for name in sorted(names - failures.keys()):
        foreign, unread = _routes_of(name, domains.present, api, context)
        if unread:
            failures[name] = merged(unread)
        elif foreign:
            _report(name, foreign)
            used.add(name)
    context.summary.leftover += len(used)

    def delete(actions: Sequence[Action], writer: DomainWriter | TokenWriter) -> None:
        ready = [action for action in actions if domain_of(action) not in {*failures, *used}]
        failed = make_changes(ready, writer, ledger, context.concurrency, context.summary)
        failures.update({domain_of(action): error for action, error in failed})

    delete(token_actions, tokens)
    delete(domain_actions, domains)
    return failures


def _routes_of(
    domain_id: str, others: Collection[str], api: KusciaAPI, context: Context
) -> tuple[list[str], list[StepError]]:
    """Return the routes between a domain and others, and the errors of failed queries.

    KusciaAPI cannot list routes: a route to a domain outside the values and the ledger is not found. The route to the
    master belongs to the Domain and is deleted with it (Kuscia facts 5.3).
    """
    pairs = [
        RouteKey(*ends) for other in others if other != domain_id for ends in ((domain_id, other), (other, domain_id))
    ]
    found: list[str] = []

    def query(key: RouteKey) -> None:
        if _exists(key, api):
            found.append(str(key))

    failed = each(pairs, query, context.reads)
    return sorted(found), [error for _, error in failed]


def _report(domain_id: str, routes: Sequence[str]) -> None:
    error = PermanentError(
        "domain-in-use",
        f"Domain {domain_id} is no longer in the values, but stays: routes that this release did not create use it "
        f"({first_of(routes, 5)})",
        fix="delete these routes through KusciaAPI (route/delete), then upgrade again",
    )
    log.logger.warning("%s", error.message, extra=log.fields(error))
