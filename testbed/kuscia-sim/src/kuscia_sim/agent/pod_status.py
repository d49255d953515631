"""The status of a pod in the store, derived from the engine on the host."""

from typing import Any

from kuscia_sim.jobs import names
from kuscia_sim.state.store import Object

FINISHED = (names.SUCCEEDED, names.FAILED)
CONTAINER_FIELDS = (
    "name",
    "image",
    "imageID",
    "containerID",
    "ready",
    "restartCount",
    "started",
    "state",
    "lastState",
)
LOST_MESSAGE = "The container could not be located when the pod was deleted.  The container used to be Running"
DENIED_REASON = "Pod was denied by provider"
DENIED_MESSAGE = "Pod was not created, so container was not created"


def is_finished(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in FINISHED


def from_backend(backend: Object) -> dict[str, Any]:
    """Return the status of a pod that runs on the host."""
    status = backend.get("status") or {}
    result: dict[str, Any] = {"phase": status.get("phase") or names.PENDING}
    for key in ("reason", "message", "podIP", "hostIP", "startTime"):
        if status.get(key):
            result[key] = status[key]
    containers = status.get("containerStatuses") or []
    result["containerStatuses"] = [
        {key: entry[key] for key in CONTAINER_FIELDS if entry.get(key) is not None} for entry in containers
    ]
    conditions = status.get("conditions") or []
    result["conditions"] = [entry for entry in conditions if entry["type"] in ("Ready", "ContainersReady")]
    for entry in result["conditions"]:
        if entry["type"] == "Ready" and entry["status"] == "True":
            result["readyTime"] = entry.get("lastTransitionTime", "")
    return result


def lost(pod: Object) -> dict[str, Any]:
    """Return the status of a pod that disappeared from the host while running, in the kubelet's words."""
    return {
        **pod.get("status", {}),
        "phase": names.FAILED,
        "containerStatuses": [
            _terminated(container["name"], 137, "ContainerStatusUnknown", LOST_MESSAGE)
            for container in pod["spec"]["containers"]
        ],
    }


def denied(pod: Object, why: str) -> dict[str, Any]:
    """Return the status of a pod that the host rejected (Kuscia's pkg/agent/provider/pod/k8s_provider.go,
    syncErrAction).
    """
    return {
        "phase": names.FAILED,
        "reason": DENIED_REASON,
        "message": why,
        "containerStatuses": [
            _terminated(container["name"], 125, "Error", DENIED_MESSAGE) for container in pod["spec"]["containers"]
        ],
    }


def _terminated(name: str, code: int, reason: str, message: str) -> dict[str, Any]:
    state = {"exitCode": code, "reason": reason, "message": message}
    return {"name": name, "ready": False, "restartCount": 0, "state": {"terminated": state}}
