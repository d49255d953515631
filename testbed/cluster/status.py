"""The state of a cluster, as text."""

from . import components, lifecycle, namespaces, processes, toolchain
from .errors import ClusterError
from .names import Names


def report(names: Names) -> tuple[str, bool]:
    """Return the text of `status`, and whether all daemons and the node are healthy.

    Pods are listed but do not affect the result: a test can run a pod that fails.
    """
    if not names.state.is_dir() and not names.run.is_dir():
        return (
            f"cluster {names.name} is not up; start it: python -m testbed.cluster up --name {names.name}",
            False,
        )
    rows = [("COMPONENT", "PID", "HEALTH")]
    complete = namespaces.exist(names) and names.pki.is_dir()
    healthy = complete
    for daemon in (d for group in components.all_daemons(names) for d in group):
        record = processes.running(names, daemon)
        if record is None:
            health = "does not run"
        elif not complete:
            health = "its namespaces are gone"
        elif not processes.current(names, daemon):
            health = "runs with an older configuration"
        else:
            health = daemon.healthy() or "ok"
        healthy = healthy and health == "ok"
        rows.append((daemon.name, str(record.pid) if record else "-", health))
    reason = lifecycle.node_not_ready(names) if complete else "namespaces are gone"
    rows.append((f"node {names.name}", "-", reason or "Ready"))
    healthy = healthy and reason is None
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in rows]
    lines += ["", *_pods(names)] if reason is None else []
    lines += ["", f"KUBECONFIG={names.kubeconfig}", f"logs in {names.logs}"]
    if not healthy:
        lines.append(f"fix: python -m testbed.cluster up --name {names.name}")
    return "\n".join(lines), healthy


def _pods(names: Names) -> list[str]:
    try:
        kubectl = str(toolchain.bin_dir() / "kubectl")
        listed = namespaces.run(kubectl, "--kubeconfig", str(names.kubeconfig), "get", "pods", "-A", "-o", "wide")
    except ClusterError as error:
        return [str(error)]
    return listed.splitlines() or ["no pods"]
