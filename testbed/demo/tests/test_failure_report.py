"""The failure report, with a kubectl of the test."""

from typing import Any

from testbed.cluster.kubectl import CommandError, Kubectl
from testbed.demo.failure_report import failure_report


def container(name: str, state: str = "running", ready: bool = True, restarts: int = 0) -> dict[str, Any]:
    return {"name": name, "state": {state: {"reason": "CrashLoopBackOff"}}, "ready": ready, "restartCount": restarts}


def pod(namespace: str, name: str, phase: str, *containers: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": name},
        "status": {"phase": phase, "containerStatuses": list(containers)},
    }


class FakeKubectl(Kubectl):
    """Has some pods; prints its arguments otherwise."""

    def __init__(self, *pods: dict[str, Any], failing: str = "") -> None:
        super().__init__(None)
        self.pods = pods
        self.failing = failing

    def get(self, *args: str) -> Any:
        return {"items": [pod for pod in self.pods if pod["metadata"]["namespace"] in args]}

    def run(self, *args: str, stdin: str | None = None, timeout: float = 120) -> str:
        if self.failing in args:
            raise CommandError(f"no {self.failing}")
        return f"kubectl {' '.join(args)}"


MASTER = pod("m", "master-1", "Running", container("master"))
STEP = pod("m", "register-1", "Succeeded", container("register", "terminated", ready=False))
CRASHING = pod("a", "lite-1", "Running", container("lite", "waiting", ready=False, restarts=2))


def logs(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("kubectl logs")]


def test_shows_pods_jobs_and_warnings_of_every_namespace() -> None:
    text = failure_report(FakeKubectl(), ["m", "a"])
    for namespace in ("m", "a"):
        for kind in ("pods", "jobs", "events"):
            assert f"kubectl get {kind} -n {namespace}" in text


def test_shows_logs_of_every_pod_failing_ones_first() -> None:
    text = failure_report(FakeKubectl(MASTER, STEP, CRASHING), ["m", "a"])
    pods = [line.split()[4] for line in logs(text)]
    assert pods == ["lite-1", "master-1", "register-1"]
    assert "a/lite-1: lite: CrashLoopBackOff" in text


def test_shows_previous_log_only_when_a_container_restarted() -> None:
    text = failure_report(FakeKubectl(MASTER, CRASHING), ["m", "a"])
    (previous,) = [line for line in logs(text) if "--previous" in line]
    assert "lite-1" in previous


def test_continues_when_a_log_cannot_be_read() -> None:
    text = failure_report(FakeKubectl(MASTER, failing="logs"), ["m"])
    assert "no logs" in text
    assert "kubectl get pods -n m" in text
