"""The runs of the steps in the output of `status`."""

from typing import Any

import pytest

from kuscia_hooks.inspect.step_runs import step_runs
from tests.hooks.builders import container, job, pod

COMPLETE = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-24T00:01:00Z"}
FAILED = {"type": "Failed", "status": "True", "lastTransitionTime": "2026-11-24T00:00:30Z"}


@pytest.mark.parametrize(
    ("status", "state", "seconds"),
    [
        ({"completionTime": "2026-11-24T00:00:45Z", "conditions": [COMPLETE]}, "Succeeded", 45),
        ({"conditions": [FAILED]}, "Failed", 30),
        ({"active": 1}, "Running", None),
        ({}, "Waiting", None),
    ],
)
def test_shows_result_and_duration_of_job(status: dict[str, Any], state: str, seconds: int | None) -> None:
    (row,) = step_runs([job("kuscia-master-register-1", "register", **status)], [], "master")
    assert (row["step"], row["name"], row["state"]) == ("register", "kuscia-master-register-1", state)
    assert (row["started"], row["seconds"]) == ("2026-11-24T00:00:00Z", seconds)


def test_shows_init_containers_and_the_pod_of_helm_test() -> None:
    ended = {"exitCode": 0, "startedAt": "2026-11-24T00:00:01Z", "finishedAt": "2026-11-24T00:00:09Z"}
    failed = ended | {"exitCode": 1, "startedAt": "2026-11-24T00:00:05Z"}
    init = [container("prepare", terminated=ended), container("seed", running={"startedAt": "2026-11-24T00:00:03Z"})]
    pods = [
        pod("kuscia-lite-alice-1", "lite", initContainerStatuses=init),
        pod("kuscia-lite-alice-check", "check", containerStatuses=[container("check", terminated=failed)]),
    ]
    assert [(row["step"], row["state"], row["seconds"]) for row in step_runs([], pods, "lite")] == [
        ("prepare", "Succeeded", 8),
        ("seed", "Running", None),
        ("check", "Failed", 4),
    ]


def test_ignores_other_jobs() -> None:
    assert step_runs([job("kuscia-master-doctor-x", "doctor")], [], "master") == []
