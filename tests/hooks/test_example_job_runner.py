import json
from typing import Any

import pytest

from kuscia_hooks.core.errors import DeadlineExceeded, PermanentError
from kuscia_hooks.example_job import runner
from kuscia_hooks.kuscia import jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from tests.hooks.conftest import recordings
from tests.hooks.fakes import FakeTime
from tests.hooks.kuscia_server import Kuscia
from tests.hooks.test_psi_config import JOB

LOST = "The remaining no-failed party task counts 1 are less than the task success threshold 2"


def status(state: str, reason: str = "", *parties: tuple[str, str, str]) -> dict[str, Any]:
    listed = [{"domain_id": name, "state": each, "err_msg": text} for name, each, text in parties]
    return {"state": state, "err_msg": reason, "tasks": [{"err_msg": "", "parties": listed}]}


def recorded(note: str) -> dict[str, Any]:
    line = next(line for line in recordings("api-transcript") if line["note"] == note)
    return line["response"]["json"]["data"]["status"]


def run(client: KusciaAPI, fake_time: FakeTime, seconds: float = 600, **fields: Any) -> str:
    return str(run_job(client, fake_time, seconds, **fields))


def run_job(client: KusciaAPI, fake_time: FakeTime, seconds: float = 600, **fields: Any) -> runner.Run:
    ids = iter(f"psi-{number}" for number in range(9))
    return runner.run(client, JOB.model_copy(update=fields), fake_time.deadline(seconds), lambda: next(ids))


def test_ids_are_dns_labels_with_room_for_a_port() -> None:
    one, two = runner.new_id(), runner.new_id()
    assert one != two
    assert len(f"{one}-{runner.TASK}-0-client-server") <= 63


def test_success(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]) -> None:
    kuscia.job_states = [
        recorded("job query right after create"),
        recorded("job query poll 0"),
        recorded("job query poll 2"),
    ]
    assert run(client, fake_time) == "psi-0 Succeeded"
    out = capsys.readouterr().out
    assert "KusciaJob psi-0: Pending" in out
    assert "KusciaJob psi-0: Running (alice Running, bob Running)" in out
    assert kuscia.jobs == {}
    (body,) = [body for path, body in kuscia.asked if path == "job/create"]
    (task,) = body["tasks"]
    assert task["app_image"] == "secretflow-image"
    assert [party["domain_id"] for party in task["parties"]] == ["alice", "bob"]
    assert body["initiator"] == "alice"


def test_keep(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    run(client, fake_time, keep=True)
    assert list(kuscia.jobs) == ["psi-0"]


def test_a_lost_pod_is_tried_again(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [status("Failed", LOST), status("Failed", LOST), status("Succeeded")]
    assert run(client, fake_time) == "psi-2 Succeeded in attempt 3"
    assert kuscia.jobs == {}


def test_three_failures_are_enough(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [recorded("job query job-fail")]
    with pytest.raises(
        PermanentError, match=r'psi-2 Failed: .*terminated state reason "Error", message: "boom'
    ) as error:
        run(client, fake_time)
    assert error.value.see == "kubectl kuscia logs psi-2 -A (docs/operations.md)"
    assert list(kuscia.jobs) == ["psi-2"]


@pytest.mark.parametrize("note", ["job query j-badimage", "job query j-badparty"])
def test_what_lasts_is_not_tried_again(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, note: str) -> None:
    kuscia.job_states = [recorded(note)]
    with pytest.raises(PermanentError, match="psi-0 Failed"):
        run(client, fake_time)
    assert kuscia.paths().count("job/create") == 1


def test_a_pull_that_never_ends(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [recorded("job query job-nopull")]
    with pytest.raises(DeadlineExceeded, match=r"psi-0 is still Running .alice Pending, bob Pending. after 30 s"):
        run(client, fake_time, timeout_seconds=30)
    assert kuscia.asked[-3][0] == "job/stop"
    assert list(kuscia.jobs) == ["psi-0"]


def test_the_outer_deadline_counts(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [status("Running")]
    with pytest.raises(DeadlineExceeded, match="after 20 s"):
        run(client, fake_time, seconds=20)


def test_deleted_while_it_runs(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.do_job_create = lambda body: (0, "success", {"job_id": body["job_id"]})  # type: ignore[method-assign]
    with pytest.raises(PermanentError, match="was deleted while it ran"):
        run(client, fake_time)


@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
def test_faults(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, fault: str) -> None:
    for position in range(4):
        kuscia.jobs.clear()
        kuscia.job_states = [status("Running"), status("Succeeded")]
        kuscia.faults = [""] * position + [fault]
        assert run(client, fake_time).startswith("psi-0 Succeeded")


def test_an_api_that_is_away_for_a_while(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    """The master restarts while the job runs."""
    kuscia.job_states = [status("Running"), status("Succeeded")]
    kuscia.faults = ["", "", *["503"] * 20]
    assert run(client, fake_time) == "psi-0 Succeeded"


def test_a_job_that_cannot_be_deleted_has_succeeded_all_the_same(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    kuscia.do_job_delete = lambda body: (11204, "sorry", None)  # type: ignore[method-assign]
    assert run(client, fake_time) == "psi-0 Succeeded"
    assert "WARNING KusciaJob psi-0 is left behind" in capsys.readouterr().out


def test_an_unanswered_create(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.faults = ["hang"]
    assert run(client, fake_time) == "psi-0 Succeeded"


def test_reasons() -> None:
    assert jobs.reasons(status("Failed")) == "no reason given"
    both = status("Failed", "a", ("bob", "Failed", "boom"), ("alice", "Failed", ""))
    assert jobs.reasons(both) == "a; bob: boom"


def test_describe() -> None:
    parties = status("Running", "", ("bob", "Running", ""), ("alice", "Pending", ""))
    assert jobs.describe(parties) == "Running (alice Pending, bob Running)"
    assert jobs.describe(status("Pending")) == "Pending"


def registered(kuscia: Kuscia, output: str, **attributes: str) -> None:
    for domain in ("alice", "bob"):
        kuscia.tables[domain, output] = {
            "name": output,
            "type": "table",
            "relative_uri": f"{output}.csv",
            "datasource_id": "default-data-source",
            "columns": [{"name": "id1", "type": "str"}],
            "attributes": {"dist_data": "{}", **attributes},
            "author": domain,
        }


def marks(kuscia: Kuscia, output: str) -> list[dict[str, str]]:
    return [kuscia.tables[domain, output]["attributes"] for domain in ("alice", "bob")]


def test_the_result_is_marked(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    registered(kuscia, "psi-output-0")
    assert run_job(client, fake_time) == runner.Run("psi-0", "psi-output-0", 1)
    marked = {
        "dist_data": "{}",
        "kuscia-chart/example-job": "psi-0",
        "kuscia-chart/result": "latest",
        "kuscia-chart/keep": "false",
    }
    assert marks(kuscia, "psi-output-0") == [marked] * 2
    assert kuscia.tables["bob", "psi-output-0"]["columns"] == [{"name": "id1", "type": "str"}]


def test_a_new_run_makes_earlier_results_past(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(kuscia, "psi-output-0")
    run(client, fake_time)
    kuscia.job_states = [status("Failed", "ErrImagePull")]
    with pytest.raises(PermanentError):
        run(client, fake_time)
    assert [mark["kuscia-chart/result"] for mark in marks(kuscia, "psi-output-0")] == ["failed"] * 2
    assert "alice has 1 results of earlier example jobs" in capsys.readouterr().out


def test_a_kept_result(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    registered(kuscia, "psi-output-0")
    run(client, fake_time, keep=True)
    assert [mark["kuscia-chart/keep"] for mark in marks(kuscia, "psi-output-0")] == ["true"] * 2


def test_two_runs_never_write_the_same() -> None:
    one, two = runner.new_id(), runner.new_id()
    assert runner.output_of(JOB, one) != runner.output_of(JOB, two)
    assert len(runner.output_of(JOB.model_copy(update={"output": "o" * 40}), one)) <= 63


def test_the_report_does_not_take_the_place_of_the_table() -> None:
    (task,) = runner.body(JOB, runner.new_id())["tasks"]
    table, report = json.loads(task["task_input_config"])["sf_output_ids"]
    assert table != report
