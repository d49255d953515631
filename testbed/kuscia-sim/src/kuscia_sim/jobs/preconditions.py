"""Checks before a task's pods are created: room on each party's nodes and the routes between parties.

Kuscia's pkg/controllers/kusciatask/plugins (resource_plugin.go, clusterdomainroute_plugin.go) define the checks and
texts, plugins_manager.go the retries: after 1, 5, 25 and 125 s, for each of the controller's five tries. The task shows
nothing of it: it is Pending without pods.
"""

import itertools
from decimal import Decimal

from kuscia_sim.jobs import engines, schedule
from kuscia_sim.state.store import Object

PAUSES = (1, 5, 25, 125)
TRIES = 5
OFFSETS = (0, *itertools.accumulate(PAUSES * TRIES))
"""Seconds after its first refusal at which a task is checked again; after the last it fails."""


def refusals(parties: list[engines.Party], nodes: list[Object], pods: list[Object], routes: list[Object]) -> list[str]:
    """Return why the first refused party is refused: one text for its nodes and one for the routes; [] to proceed.

    Args:
        pods: the pods of all domains.
        routes: the ClusterDomainRoutes.
    """
    no_way = _route_refusal({party.domain for party in parties}, routes)
    for party in parties:
        found = [text for text in (_room_refusal(party, nodes, pods), no_way) if text]
        if found:
            return found
    return []


def _room_refusal(party: engines.Party, nodes: list[Object], pods: list[Object]) -> str | None:
    """Check a party's nodes. A limit without a request counts as nothing here; the scheduler handles it later."""
    own = [node for node in nodes if schedule.domain_of(node) == party.domain]
    if not own:
        return f"resource-check no node cache to {party.domain}"
    asked = engines.requested(party)
    for node in own:
        free = schedule.free(node, pods)
        if schedule.is_ready(node) and all(free.get(key, Decimal(0)) >= amount for key, amount in asked.items()):
            return None
    return f"resource-check no node status available for domain {party.domain}"


def _route_refusal(domains: set[str], routes: list[Object]) -> str | None:
    """Check the routes. A missing route, or one without a condition, refuses nothing."""
    known = {route["metadata"]["name"]: route for route in routes}
    for source, destination in itertools.permutations(sorted(domains), 2):
        name = f"{source}-{destination}"
        for entry in (known.get(name, {}).get("status") or {}).get("conditions") or []:
            if entry["type"] == "Ready" and entry["status"] != "True":
                # Kuscia splits the name at its hyphens, even if domain IDs contain some.
                first, second = name.split("-")[:2]
                return f"cdr-check {first} to {second} failed with {entry['reason']}"
    return None


class Waiting:
    """When refused tasks are checked again; lost with the process, as in Kuscia."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, int]] = {}

    def is_due(self, task: Object, now: float) -> bool:
        """Tell whether `task` is due at `now` (seconds on any clock)."""
        since, looks = self._since.get(task["metadata"]["uid"], (now, 0))
        return now >= since + OFFSETS[looks]

    def refused(self, task: Object, now: float) -> bool:
        """Record a refusal at `now`; tell whether it was the last."""
        uid = task["metadata"]["uid"]
        since, looks = self._since.get(uid, (now, 0))
        if looks + 1 == len(OFFSETS):
            self.forget(task)
            return True
        self._since[uid] = (since, looks + 1)
        return False

    def forget(self, task: Object) -> None:
        self._since.pop(task["metadata"]["uid"], None)
