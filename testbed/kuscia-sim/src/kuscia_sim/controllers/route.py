"""The route controllers of a master (Kuscia facts 6.2, 6.4).

A ClusterDomainRoute becomes a DomainRoute in the namespaces of its source and destination, where their gateways read
it. What they report there becomes the `Ready` condition of the ClusterDomainRoute.
"""

import binascii
import functools

from kuscia_sim import credentials
from kuscia_sim.gateway.handshake import live_gateways, tokens
from kuscia_sim.log import Log
from kuscia_sim.node.node import Node
from kuscia_sim.state.objects import age, changes, ensure, is_partner, mutate
from kuscia_sim.state.store import NotFound, Object, Store, now_rfc3339, owner_reference

PERIOD = 10.0
PAUSE = 0.1
PATIENCE = 120.0
"""Seconds that the tokens of a route may differ before its handshake is repeated (Kuscia facts 6.4)."""
KEYED_METHODS = ("RSA-GEN", "UID-RSA-GEN")

log = Log(__name__)


async def run_route_controller(node: Node) -> None:
    """Reconcile DomainRoutes and the status of ClusterDomainRoutes until cancelled."""
    log.info("clusterdomainroute/controller.go:338", "Starting ClusterDomainRoute controller")
    async for _ in changes(node.store, PERIOD, PAUSE):
        try:
            await reconcile(node.store)
        except Exception as err:
            log.warning("clusterdomainroute/controller.go:360", f"sync cluster domain routes failed: {err}")


async def reconcile(store: Store) -> None:
    """Reconcile all routes once."""
    domains = {item["metadata"]["name"]: item for item in await store.list("domains")}
    keys = {name: _public_key(domain) for name, domain in domains.items()}
    partners = {name for name, domain in domains.items() if is_partner(domain)}
    namespaces = {item["metadata"]["name"] for item in await store.list("namespaces")} - partners
    routes = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item for item in await store.list("domainroutes")
    }
    gateways: dict[str, list[Object]] = {}
    for gateway in await store.list("gateways"):
        gateways.setdefault(gateway["metadata"]["namespace"], []).append(gateway)
    silent = {domain for domain, known in gateways.items() if not live_gateways(known)}
    for whole in await store.list("clusterdomainroutes"):
        try:
            await _reconcile_route(store, whole, keys, namespaces & keys.keys(), routes, silent)
        except NotFound:
            continue


def condition(source: Object, destination: Object, destination_silent: bool) -> tuple[str, str, str]:
    """Return status, reason and message of `Ready` for the two DomainRoutes of a route (Kuscia facts 6.4)."""
    source_tokens, destination_tokens = tokens(source), tokens(destination)
    said = source.get("status") or {}
    if not source_tokens:
        if not said.get("isDestinationAuthorized"):
            return "False", "DestinationIsNotAuthrized", "TokenNotGenerate"
        return "False", "TokenNotGenerate", "TokenNotGenerate"
    if said.get("isDestinationUnreachable"):
        return "False", "DestinationUnreachable", "DestinationUnreachable"
    if not destination_tokens:
        return "False", "TokenNotGenerate", "TokenNotGenerate"
    if (destination.get("status") or {}).get("heartBeatTimeout") or destination_silent:
        return "False", "HeartBeatTimeout", "HeartBeatTimeout"
    if source_tokens[-1]["revision"] != destination_tokens[-1]["revision"]:
        return "False", "TokenRevisionNotMatch", "TokenRevisionNotMatch"
    return "True", "", "Success"


async def _reconcile_route(
    store: Store,
    whole: Object,
    keys: dict[str, str],
    namespaces: set[str],
    routes: dict[tuple[str, str], Object],
    silent: set[str],
) -> None:
    name = whole["metadata"]["name"]
    source, destination = whole["spec"]["source"], whole["spec"]["destination"]
    whole = await _with_keys(store, whole, keys)
    sides: list[Object] = []
    for namespace in dict.fromkeys((source, destination)):
        if namespace not in namespaces:
            continue
        side = routes.get((namespace, name))
        if side is None:
            await ensure(store, "domainroutes", namespace, name, _domain_route(whole))
        elif _must_be_new(whole, side):
            log.info("clusterdomainroute/domainroute.go:62", f"Delete domainroute {namespace}/{name}")
            await store.delete("domainroutes", namespace, name)
            await ensure(store, "domainroutes", namespace, name, _domain_route(whole))
        elif side["spec"] != whole["spec"]:
            await mutate(store, "domainroutes", namespace, name, functools.partial(_set_spec, whole["spec"]))
            sides.append(side)
        else:
            sides.append(side)
    if len(sides) == 2:
        await _report(store, whole, sides[0], sides[1], destination in silent)


def _set_spec(spec: Object, current: Object) -> None:
    current["spec"] = spec


async def _with_keys(store: Store, whole: Object, keys: dict[str, str]) -> Object:
    """Fill the public keys of both domains into the route."""
    config = whole["spec"].get("tokenConfig") or {}
    if config.get("tokenGenMethod") not in KEYED_METHODS:
        return whole
    wanted = {
        "sourcePublicKey": keys.get(whole["spec"]["source"], ""),
        "destinationPublicKey": keys.get(whole["spec"]["destination"], ""),
    }
    if all(config.get(field, "") == value for field, value in wanted.items()):
        return whole

    def fill(current: Object) -> None:
        current["spec"]["tokenConfig"].update(wanted)

    return await mutate(store, "clusterdomainroutes", "", whole["metadata"]["name"], fill)


def _must_be_new(whole: Object, side: Object) -> bool:
    """Tell whether a change affects the handshake: the DomainRoute is then recreated, which repeats it."""
    owners = [owner.get("uid") for owner in side["metadata"].get("ownerReferences") or []]
    if whole["metadata"]["uid"] not in owners:
        return True
    new, old = whole["spec"], side["spec"]
    if new.get("endpoint") != old.get("endpoint"):
        return True
    return any(
        (new.get("tokenConfig") or {}).get(field, "") != (old.get("tokenConfig") or {}).get(field, "")
        for field in ("sourcePublicKey", "destinationPublicKey", "tokenGenMethod")
    )


async def _report(store: Store, whole: Object, source: Object, destination: Object, silent: bool) -> None:
    status, reason, message = condition(source, destination, silent)
    before = whole.get("status") or {}
    entries = before.get("conditions") or []
    same = any((entry["type"], entry["status"], entry["reason"]) == ("Ready", status, reason) for entry in entries)
    shown = {"sourceTokens": tokens(source), "destinationTokens": tokens(destination)}
    if same and before.get("tokenStatus") == shown:
        if reason == "TokenRevisionNotMatch" and age(entries[0]["lastTransitionTime"]) > PATIENCE:
            await _shake_hands_again(store, source)
        return
    now = now_rfc3339()
    entry = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": now,
        "lastTransitionTime": now,
    }

    def change(current: Object) -> None:
        current["status"] = {
            **(current.get("status") or {}),
            "conditions": entries if same else [entry],
            "tokenStatus": shown,
        }

    await mutate(store, "clusterdomainroutes", "", whole["metadata"]["name"], change)


async def _shake_hands_again(store: Store, source: Object) -> None:
    """Remove the source's tokens, so that its gateway repeats the handshake."""
    namespace, name = source["metadata"]["namespace"], source["metadata"]["name"]
    log.warning("clusterdomainroute/monitor.go:120", f"ClusterDomainRoute {name} is not ready, handshake again")

    def forget(current: Object) -> None:
        last = (current["status"]["tokenStatus"].get("revisionToken") or {}).get("revision", 0)
        current["status"]["tokenStatus"] = {"revisionToken": {"revision": last}}

    await mutate(store, "domainroutes", namespace, name, forget)


def _domain_route(whole: Object) -> Object:
    return {
        "metadata": {
            "labels": whole["metadata"].get("labels") or {},
            "ownerReferences": [owner_reference("ClusterDomainRoute", whole)],
        },
        "spec": whole["spec"],
        "status": {},
    }


def _public_key(domain: Object) -> str:
    certificate = domain["spec"].get("cert") or ""
    if not certificate:
        return ""
    try:
        return credentials.public_key_b64(certificate)
    except (ValueError, binascii.Error):
        return ""
