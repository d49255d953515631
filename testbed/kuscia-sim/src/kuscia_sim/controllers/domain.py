"""The domain controller of a master (Kuscia facts 5.3, 14.3, 16.2).

It creates the namespace and the route to the master of each domain. For domains other than partners it also maintains
their configuration, deploy tokens (one unused, at most one used) and node statuses.
"""

import re

from kuscia_sim import credentials
from kuscia_sim.log import Log
from kuscia_sim.node.heartbeat import is_ready
from kuscia_sim.node.node import Node
from kuscia_sim.state.objects import age, changes, ensure, is_partner, mutate
from kuscia_sim.state.remote_store import NODE_NAMESPACE_LABEL
from kuscia_sim.state.store import NotFound, Object, Store, now_rfc3339, owner_reference

CROSS_DOMAIN = "cross-domain"
DOMAIN_LABEL = "kuscia.secretflow/domain-name"
DELETED_LABEL = "kuscia.secretflow/deleted"
AUTH_LABEL = "kuscia.secretflow/domain-auth"
NAMESPACE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
NODE_LOST = 180.0
"""Seconds after its last heartbeat until a node loses its status (its lease, Kuscia facts 12.5)."""
PERIOD = 10.0
PAUSE = 0.2
ROUTE_PERIOD = 86400

log = Log(__name__)


async def bootstrap(node: Node) -> None:
    """Create the master's own namespaces and its Domain with its certificate."""
    store, own = node.store, node.domain_id
    for name in (own, CROSS_DOMAIN):
        await ensure(store, "namespaces", "", name, _namespace(name))
    log.info("modules/k3s.go:249", f"Register namespace {own} succeed.")
    certificate = credentials.b64(node.cert_pem)
    await ensure(store, "domains", "", own, {"spec": {"cert": certificate}, "status": {}})
    await mutate(store, "domains", "", own, lambda domain: domain["spec"].update(cert=certificate))


async def run_domain_controller(node: Node) -> None:
    """Reconcile all domains until cancelled."""
    log.info("domain/controller.go:318", "Starting domain controller")
    async for _ in changes(node.store, PERIOD, PAUSE):
        try:
            await reconcile(node)
        except Exception as err:
            log.warning("domain/controller.go:426", f"update domains failed: {err}")


async def reconcile(node: Node) -> None:
    """Reconcile all domains once."""
    store = node.store
    domains = await store.list("domains")
    nodes = await _nodes_by_domain(store)
    known = {item["metadata"]["name"] for item in domains}
    for domain in domains:
        name = domain["metadata"]["name"]
        if not NAMESPACE_NAME.fullmatch(name):
            continue
        try:
            await _reconcile_domain(node, domain, nodes.get(name, []))
        except NotFound:
            continue
    await _mark_deleted(store, known)


async def _reconcile_domain(node: Node, domain: Object, nodes: list[Object]) -> None:
    store, name = node.store, domain["metadata"]["name"]
    await _ensure_namespace(store, name)
    if domain["spec"].get("authCenter") and name != node.domain_id:
        await _ensure_route_to_master(store, domain, node.domain_id)
    if is_partner(domain):
        return
    await _ensure_config(store, name)
    token_delay = node.faults.token_delay()
    wanted = _status(domain, nodes, token_delay)
    labels = domain["metadata"].get("labels") or {}
    if wanted == domain.get("status") and labels.get(AUTH_LABEL) == "completed":
        return

    def change(current: Object) -> None:
        current["status"] = _status(current, nodes, token_delay)
        current["metadata"]["labels"] = {**(current["metadata"].get("labels") or {}), AUTH_LABEL: "completed"}

    await mutate(store, "domains", "", name, change)


async def _ensure_namespace(store: Store, name: str) -> None:
    try:
        namespace = await store.get("namespaces", "", name)
    except NotFound:
        log.info("domain/namespace.go:33", f"Create domain namespace {name}")
        await ensure(store, "namespaces", "", name, _namespace(name))
        return
    if DELETED_LABEL in (namespace["metadata"].get("labels") or {}):
        await mutate(store, "namespaces", "", name, lambda current: current["metadata"]["labels"].pop(DELETED_LABEL, 0))


async def _ensure_config(store: Store, name: str) -> None:
    try:
        await store.get("configmaps", name, "domain-config")
    except NotFound:
        await ensure(store, "configmaps", name, "domain-config", {"data": {}})
        log.info("domain/domain_config.go:34", f"Create domain config domain-config under domain {name}")


async def _ensure_route_to_master(store: Store, domain: Object, master_id: str) -> None:
    source = domain["metadata"]["name"]
    name = f"{source}-{master_id}"
    try:
        await store.get("clusterdomainroutes", "", name)
    except NotFound:
        center = domain["spec"]["authCenter"]
        route = {
            "metadata": {"ownerReferences": [owner_reference("Domain", domain)]},
            "spec": {
                "source": source,
                "destination": master_id,
                "interConnProtocol": "kuscia",
                "authenticationType": center.get("authenticationType", "Token"),
                "tokenConfig": {
                    "tokenGenMethod": center.get("tokenGenMethod", "RSA-GEN"),
                    "rollingUpdatePeriod": ROUTE_PERIOD,
                },
            },
            "status": {},
        }
        await ensure(store, "clusterdomainroutes", "", name, route)
        log.info("domain/authorization_resource.go:116", f"Domain [{source}] auth init completed")


async def _mark_deleted(store: Store, known: set[str]) -> None:
    """Label the namespace that a deleted Domain leaves behind."""
    for namespace in await store.list("namespaces"):
        metadata = namespace["metadata"]
        labels = metadata.get("labels") or {}
        if DOMAIN_LABEL not in labels or metadata["name"] in known | {CROSS_DOMAIN} or DELETED_LABEL in labels:
            continue

        def label(current: Object) -> None:
            current["metadata"]["labels"] = {**current["metadata"]["labels"], DELETED_LABEL: "true"}

        await mutate(store, "namespaces", "", metadata["name"], label)


async def _nodes_by_domain(store: Store) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for node in await store.list("nodes"):
        domain_id = (node["metadata"].get("labels") or {}).get(NODE_NAMESPACE_LABEL, "")
        found.setdefault(domain_id, []).append(await _with_lease(store, node))
    return found


async def _with_lease(store: Store, node: Object) -> Object:
    """Mark a node NotReady if its heartbeats stopped."""
    conditions = (node.get("status") or {}).get("conditions") or []
    if not is_ready(node) or age(conditions[0]["lastHeartbeatTime"]) < NODE_LOST:
        return node

    def lose(current: Object) -> None:
        current["status"]["conditions"][0].update(
            status="Unknown",
            reason="NodeStatusUnknown",
            message="Kubelet stopped posting node status.",
            lastTransitionTime=now_rfc3339(),
        )

    return await mutate(store, "nodes", "", node["metadata"]["name"], lose)


def _status(domain: Object, nodes: list[Object], token_delay: float) -> Object:
    before = domain.get("status") or {}
    tokens = list(before.get("deployTokenStatuses") or [])
    used = [token for token in tokens if token["state"] == "used"][-1:]
    unused = [token for token in tokens if token["state"] == "unused"][:1]
    if not unused and age(domain["metadata"]["creationTimestamp"]) >= token_delay:
        unused = [{"token": credentials.random_token(), "state": "unused", "lastTransitionTime": now_rfc3339()}]
    return {
        **before,
        "deployTokenStatuses": used + unused,
        "nodeStatuses": [_node_status(node) for node in nodes],
    }


def _node_status(node: Object) -> Object:
    ready = next(entry for entry in node["status"]["conditions"] if entry["type"] == "Ready")
    return {
        "name": node["metadata"]["name"],
        "version": (node["status"].get("nodeInfo") or {}).get("kubeletVersion", ""),
        "status": "Ready" if ready["status"] == "True" else "NotReady",
        "lastHeartbeatTime": ready["lastHeartbeatTime"],
        "lastTransitionTime": ready["lastTransitionTime"],
    }


def _namespace(name: str) -> Object:
    return {"metadata": {"labels": {DOMAIN_LABEL: name}}, "spec": {}, "status": {"phase": "Active"}}
