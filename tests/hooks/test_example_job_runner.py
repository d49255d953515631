import json
import time
from typing import Any

import pytest

from kuscia_hooks.core import cleanup
from kuscia_hooks.core.errors import DeadlineExceeded, PermanentError
from kuscia_hooks.core.waiting import Clock, Deadline
from kuscia_hooks.example_job import results, runner
from kuscia_hooks.kuscia import jobs
from kuscia_hooks.kuscia.api import KusciaAPI
from tests.hooks.builders import example_job
from tests.hooks.failing import fails
from tests.hooks.fakes.clock import FakeTime
from tests.hooks.fakes.kuscia import Kuscia, found
from tests.hooks.recordings import recordings

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
    return runner.run(client, example_job(**fields), "ns", fake_time.deadline(seconds), lambda: next(ids))


def test_job_id_with_port_fits_dns_label() -> None:
    one, two = runner.new_id(), runner.new_id()
    assert one != two
    assert len(f"{one}-{runner.TASK}-0-client-server") <= 63


def test_deletes_successful_job(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
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
    (body,) = kuscia.bodies("job/create")
    (task,) = body["tasks"]
    assert task["app_image"] == "secretflow-image"
    assert [party["domain_id"] for party in task["parties"]] == ["alice", "bob"]
    assert body["initiator"] == "alice"


def test_keeps_successful_job_when_configured(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    run(client, fake_time, keep=True)
    assert list(kuscia.jobs) == ["psi-0"]


def test_retries_after_lost_pod(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [status("Failed", LOST), status("Failed", LOST), status("Succeeded")]
    assert run(client, fake_time) == "psi-2 Succeeded in attempt 3"
    assert kuscia.jobs == {}


def test_fails_after_three_attempts(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [recorded("job query job-fail")]
    with fails("example-job-failed") as error:
        run(client, fake_time)
    assert 'terminated state reason "Error", message: "boom' in error.value.message
    assert error.value.see.startswith("kubectl kuscia logs psi-2 -A")
    assert list(kuscia.jobs) == ["psi-2"]


@pytest.mark.parametrize("note", ["job query j-badimage", "job query j-badparty"])
def test_does_not_retry_after_permanent_failure(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, note: str
) -> None:
    kuscia.job_states = [recorded(note)]
    with fails("example-job-failed") as error:
        run(client, fake_time)
    assert "psi-0" in error.value.message
    assert kuscia.paths().count("job/create") == 1


def test_stops_job_at_its_timeout(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [recorded("job query job-nopull")]
    begin = fake_time.clock.now()
    with pytest.raises(DeadlineExceeded) as error:
        run(client, fake_time, timeoutSeconds=30)
    assert error.value.id == "example-job-running"
    assert "Running (alice Pending, bob Pending)" in error.value.message
    assert 30 <= fake_time.clock.now() - begin < 35
    assert kuscia.asked[-3][0] == "job/stop"
    assert list(kuscia.jobs) == ["psi-0"]


def test_names_earlier_failures_when_time_runs_out(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [status("Failed", LOST), status("Failed", "evicted"), status("Running")]
    with pytest.raises(DeadlineExceeded) as error:
        run(client, fake_time, timeoutSeconds=30)
    assert error.value.id == "example-job-running"
    assert LOST in error.value.message
    assert "evicted" in error.value.message


@pytest.mark.parametrize(
    "reason",
    [
        "lookup s3.nowhere on 10.0.0.1:53: no such host",
        "[Errno -2] Name or service not known",
        "socket.gaierror: [Errno -3] Temporary failure in name resolution",
        "Could not resolve host: s3.nowhere",
    ],
)
def test_does_not_retry_after_a_name_does_not_resolve(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, reason: str
) -> None:
    kuscia.job_states = [status("Failed", "", ("bob", "Failed", f"terminated, message: {reason}"))]
    with fails("example-job-failed"):
        run(client, fake_time)
    assert kuscia.paths().count("job/create") == 1


def test_sigterm_stops_and_deletes_the_job(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    registered(kuscia, "psi-output-0")
    kuscia.job_states = [status("Running")]

    def sleep(_: float) -> None:
        cleanup.stop()
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        runner.run(client, example_job(), "ns", Deadline(60, Clock(fake_time.clock.now, sleep)), lambda: "psi-0")
    assert kuscia.bodies("job/stop")[0]["job_id"] == "psi-0"
    assert kuscia.jobs == {}
    assert [mark["kuscia-chart/result"] for mark in marks(kuscia, "psi-output-0")] == ["failed"] * 2
    cleanup.stop()
    assert kuscia.paths().count("job/stop") == 1, "no cleanup after the run"


def test_deletes_jobs_of_interrupted_runs_of_this_release_only(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime
) -> None:
    for job_id, job, owner in (
        ("psi-a0", example_job(output="earlier"), "ns"),
        ("psi-b0", example_job(), "other"),
        ("psi-c0", example_job(keep=True), "ns"),
        ("training-a0", example_job(), "ns"),
    ):
        kuscia.jobs[job_id] = runner.body(job, job_id, owner)
    kuscia.jobs["psi-d0"] = {"job_id": "psi-d0"}
    registered(kuscia, "earlier-a0")
    run(client, fake_time)
    assert set(kuscia.jobs) == {"psi-b0", "psi-c0", "psi-d0", "training-a0"}
    assert [mark["kuscia-chart/result"] for mark in marks(kuscia, "earlier-a0")] == ["failed"] * 2
    assert "job/stop" not in kuscia.paths()


def test_stops_a_running_job_of_an_interrupted_run(client: KusciaAPI, kuscia: Kuscia) -> None:
    kuscia.jobs["psi-a0"] = runner.body(example_job(keep=True), "psi-a0", "ns")
    kuscia.job_states = [status("Running")]
    runner.sweep(client, "ns")
    assert kuscia.bodies("job/stop")[0]["job_id"] == "psi-a0"
    assert kuscia.jobs == {}


def test_finds_old_results_without_marks(client: KusciaAPI, kuscia: Kuscia) -> None:
    """A run that was killed before it marked them, and whose job is gone."""
    old, young = "20200101000000-ab12", time.strftime("%Y%m%d%H%M%S-ab12", time.gmtime())
    for name in (f"psi-output-{old}", f"psi-{old}-report", "mine-20200101000000-cd12", f"psi-output-{young}"):
        registered(kuscia, name)
    registered(kuscia, f"psi-{young}-report")
    found = results.listed(client, "alice")
    assert [(result.id, result.job, result.keep) for result in found] == [(f"psi-output-{old}", f"psi-{old}", False)]


def test_respects_outer_deadline(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [status("Running")]
    begin = fake_time.clock.now()
    with pytest.raises(DeadlineExceeded):
        run(client, fake_time, seconds=20)
    assert 20 <= fake_time.clock.now() - begin < 25


def test_reports_job_that_was_deleted_while_it_ran(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.replies["job/create"] = found({"job_id": "psi-0"})
    with fails("example-job-deleted"):
        run(client, fake_time)


@pytest.mark.parametrize("fault", ["500", "reset", "lost"])
def test_recovers_from_single_fault(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, fault: str) -> None:
    for position in range(4):
        kuscia.jobs.clear()
        kuscia.job_states = [status("Running"), status("Succeeded")]
        kuscia.faults = [""] * position + [fault]
        assert run(client, fake_time).startswith("psi-0 Succeeded")


def test_recovers_from_restart_of_master(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.job_states = [status("Running"), status("Succeeded")]
    kuscia.faults = ["", "", *["503"] * 20]
    assert run(client, fake_time) == "psi-0 Succeeded"


def test_succeeds_with_warning_when_job_cannot_be_deleted(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    kuscia.replies["job/delete"] = (11204, "sorry", None)
    assert run(client, fake_time) == "psi-0 Succeeded"
    (warning,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WARNING")]
    assert "psi-0" in warning


def test_recovers_from_create_without_response(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    kuscia.faults = ["hang"]
    assert run(client, fake_time) == "psi-0 Succeeded"


def test_names_the_reasons_of_all_parties() -> None:
    assert jobs.reasons(status("Failed")) == "no reason given"
    both = status("Failed", "a", ("bob", "Failed", "boom"), ("alice", "Failed", ""))
    assert jobs.reasons(both) == "a; bob: boom"


def test_describes_state_of_each_party() -> None:
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


def test_marks_result(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
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


def test_marks_result_of_failed_job(
    client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime, capsys: pytest.CaptureFixture[str]
) -> None:
    registered(kuscia, "psi-output-0")
    run(client, fake_time)
    kuscia.job_states = [status("Failed", "ErrImagePull")]
    with pytest.raises(PermanentError):
        run(client, fake_time)
    assert [mark["kuscia-chart/result"] for mark in marks(kuscia, "psi-output-0")] == ["failed"] * 2
    assert "domain alice: 1 results" in capsys.readouterr().out


def test_marks_result_to_keep(client: KusciaAPI, kuscia: Kuscia, fake_time: FakeTime) -> None:
    registered(kuscia, "psi-output-0")
    run(client, fake_time, keep=True)
    assert [mark["kuscia-chart/keep"] for mark in marks(kuscia, "psi-output-0")] == ["true"] * 2


def test_result_ids_are_unique_and_short() -> None:
    one, two = runner.new_id(), runner.new_id()
    assert runner.output_of(example_job(), one) != runner.output_of(example_job(), two)
    assert len(runner.output_of(example_job(output="o" * 40), one)) <= 63


def test_report_and_table_have_different_ids() -> None:
    (task,) = runner.body(example_job(), runner.new_id(), "ns")["tasks"]
    table, report = json.loads(task["task_input_config"])["sf_output_ids"]
    assert table != report
