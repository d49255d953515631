"""What Kuscia looks at before it makes a task's pods: room on each party's nodes, and the routes between parties.

Kuscia's pkg/controllers/kusciatask/plugins (resource_plugin.go, clusterdomainroute_plugin.go) say what is refused and
with which text, plugins_manager.go how often each is asked again: pauses of 1, 5, 25 and 125 s, and that for each of
the controller's five tries. Nothing of it shows in the task meanwhile: it is Pending and has no pods.
"""

import itertools
from decimal import Decimal

from kuscia_sim.jobs import engines, schedule
from kuscia_sim.state.store import Object

PAUSES = (1, 5, 25, 125)
TRIES = 5
OFFSETS = (0, *itertools.accumulate(PAUSES * TRIES))
"""Seconds after its first refusal at which a task is looked at again; refused at the last one it fails."""


def refusals(parties: list[engines.Party], nodes: list[Object], pods: list[Object], routes: list[Object]) -> list[str]:
    """Why the first party that is refused is: one text for its nodes and one for the routes; [] to go on.

    `pods` are all there are, in every domain; `routes` the ClusterDomainRoutes.
    """
    no_way = _route_refusal({party.domain for party in parties}, routes)
    for party in parties:
        found = [text for text in (_room_refusal(party, nodes, pods), no_way) if text]
        if found:
            return found
    return []


def _room_refusal(party: engines.Party, nodes: list[Object], pods: list[Object]) -> str | None:
    """What a container only has a limit for counts as nothing here; the scheduler sees to it afterwards."""
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
    """A route that is not there, or of which nothing is known yet, refuses nothing."""
    known = {route["metadata"]["name"]: route for route in routes}
    for source, destination in itertools.permutations(sorted(domains), 2):
        name = f"{source}-{destination}"
        for entry in (known.get(name, {}).get("status") or {}).get("conditions") or []:
            if entry["type"] == "Ready" and entry["status"] != "True":
                # Kuscia takes the name apart at its hyphens, whatever the domains' own names have of them.
                first, second = name.split("-")[:2]
                return f"cdr-check {first} to {second} failed with {entry['reason']}"
    return None


class Waiting:
    """When the tasks that were refused are looked at again; forgotten with the process, as in Kuscia."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[float, int]] = {}

    def is_due(self, task: Object, now: float) -> bool:
        """Whether to look at `task` at `now` (seconds on any clock)."""
        since, looks = self._since.get(task["metadata"]["uid"], (now, 0))
        return now >= since + OFFSETS[looks]

    def refused(self, task: Object, now: float) -> bool:
        """Notes a refusal at `now`; whether it was the last."""
        uid = task["metadata"]["uid"]
        since, looks = self._since.get(uid, (now, 0))
        if looks + 1 == len(OFFSETS):
            self.forget(task)
            return True
        self._since[uid] = (since, looks + 1)
        return False

    def forget(self, task: Object) -> None:
        self._since.pop(task["metadata"]["uid"], None)
