"""Placement of a task's pods: every party needs a Ready node of its domain with room, or none starts."""

from decimal import Decimal
from typing import Any

from kuscia_sim.jobs import names, quantity
from kuscia_sim.state.store import Object

FINISHED_PHASES = (names.SUCCEEDED, names.FAILED)


def requests(pod: Object) -> dict[str, Decimal]:
    """Return CPU (cores) and memory (bytes) that a pod requests; a limit without a request counts as one."""
    total = {"cpu": Decimal(0), "memory": Decimal(0)}
    for container in pod["spec"]["containers"]:
        resources = container.get("resources") or {}
        asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
        for key in total:
            if key in asked:
                total[key] += quantity.parse(str(asked[key]))
    return total


def place(pods: list[Object], nodes: list[Object], all_pods: list[Object]) -> tuple[dict[str, str], dict[str, str]]:
    """Bind a task's unbound pods, all or none.

    Returns:
        (node name by "<domain>/<pod>", {}) or ({}, the scheduler's message by "<domain>/<pod>").
    """
    left = {node["metadata"]["name"]: free(node, all_pods) for node in nodes}
    bound: dict[str, str] = {}
    problems: dict[str, str] = {}
    for pod in pods:
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        asked = requests(pod)
        reasons: dict[str, int] = {}
        for node in nodes:
            name = node["metadata"]["name"]
            reason = _refusal(pod, node, asked, left[name])
            if reason is None:
                bound[key] = name
                for resource, value in asked.items():
                    if resource in left[name]:
                        left[name][resource] -= value
                left[name]["pods"] = left[name].get("pods", Decimal(1)) - 1
                break
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            said = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
            problems[key] = (
                f"0/{len(nodes)} nodes are available: {said or 'no nodes registered'}. preemption: "
                f"0/{len(nodes)} nodes are available: {len(nodes)} Preemption is not helpful for scheduling."
            )
    return ({}, problems) if problems else (bound, {})


def is_ready(node: Object) -> bool:
    """Tell whether the node's condition Ready is True, which its lite's heartbeats maintain."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def domain_of(node: Object) -> str:
    """Return the domain ID of the node's lite."""
    return str((node["metadata"].get("labels") or {}).get(names.LABEL_NAMESPACE, ""))


def free(node: Object, all_pods: list[Object]) -> dict[str, Decimal]:
    """Return what the pods bound to the node leave of its CPU (cores), memory (bytes) and pods, if it states them."""
    allocatable: dict[str, Any] = node.get("status", {}).get("allocatable") or {}
    left = {key: quantity.parse(str(allocatable[key])) for key in ("cpu", "memory", "pods") if allocatable.get(key)}
    for pod in all_pods:
        if pod["spec"].get("nodeName") != node["metadata"]["name"]:
            continue
        if pod.get("status", {}).get("phase") in FINISHED_PHASES:
            continue
        for key, value in requests(pod).items():
            if key in left:
                left[key] -= value
        if "pods" in left:
            left["pods"] -= 1
    return left


def _refusal(pod: Object, node: Object, asked: dict[str, Decimal], free: dict[str, Decimal]) -> str | None:
    if domain_of(node) != pod["metadata"]["namespace"]:
        return "node(s) didn't match Pod's node affinity/selector"
    if not is_ready(node):
        return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"
    for key, value in asked.items():
        if key in free and value > free[key]:
            return f"Insufficient {key}"
    if free.get("pods", Decimal(1)) < 1:
        return "Too many pods"
    return None
