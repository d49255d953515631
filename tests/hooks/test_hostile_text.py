"""Text that servers, users and logs determine never becomes a part of a command, nor reaches a terminal as it is."""

import re
from dataclasses import replace

import pytest

from kuscia_hooks.core.config.release import Release
from kuscia_hooks.core.text import printable
from kuscia_hooks.inspect.diagnosis import diagnose
from kuscia_hooks.inspect.known.engines import ENGINE, JOB
from kuscia_hooks.inspect.known.events import EVENTS
from kuscia_hooks.inspect.known.host import HOST
from kuscia_hooks.inspect.known.kuscia import KUSCIA
from kuscia_hooks.inspect.kuscia_state import RouteState
from kuscia_hooks.inspect.report import Report
from kuscia_hooks.inspect.snapshot import (
    MASTER,
    ContainerState,
    EngineJob,
    JobState,
    PodState,
    Probe,
    Snapshot,
    WarningEvent,
)
from tests.hooks.builders import lite_release, master_release
from tests.hooks.warning_events import OF_JOBS, OF_PODS

WORD = "reboot"
HOSTILE = [
    f"x;{WORD}#",
    f"$({WORD})",
    f"`{WORD}`",
    f"x'|{WORD}|'",
    f'"&&{WORD}"',
    f"x\n{WORD}\r\n",
    f"\x1b]0;{WORD}\x07\x9b31m",
    f"{{{WORD}}} {{0}} %s",
    f"\\'{WORD}",
]
# Parts of a command that a shell takes literally, as shlex.quote writes them.
QUOTED = re.compile(r"""'[^']*'|"'\"""")
LINES = (
    "domain [{0}] not found",
    "not support run mode: {0}",
    "protocol: {0} is unsupported",
    "[PROBE] failed to probe master endpoint https://m.x/{0}, detail-> 502",
    "ping datastore endpoint error: {0}",
    "{0}: signal: killed",
    "{0}: exec format error",
    "ERROR [secret-not-found] data: {0}\n    see: kubectl get x\n",
)


def release(mode: str, hostile: str) -> Release:
    """Return a release with hostile names, also where its model would reject them."""
    names = {"namespace": hostile, "release": hostile, "fullname": f"f{hostile}"}
    if mode == "master":
        master = master_release(domains={"alice": {"namespace": "a"}, "bob": {}})
        alice = master.domains["alice"].model_copy(update={"namespace": hostile})
        return master.model_copy(update={**names, "domains": {**master.domains, "alice": alice}})
    lite = lite_release(engines={"namespace": "a", "keepsLogs": False, "capacity": {"cpu": "1"}})
    assert lite.engines is not None
    engines = lite.engines.model_copy(update={"namespace": hostile, "capacity": {"cpu": hostile}})
    return lite.model_copy(update={**names, "engines": engines})


def snapshots(mode: str, hostile: str) -> list[Snapshot]:
    """Return snapshots with a hostile text in every place."""
    found = [Snapshot()]
    ready = Snapshot(node=PodState(hostile, hostile, mode, "Running", containers=(ContainerState(mode, ready=True),)))
    for line in LINES:
        log = line.replace("{0}", hostile)
        ended = ContainerState(mode, log=log, end_code=1)
        found.append(Snapshot(node=PodState(hostile, hostile, mode, "Running", containers=(ended,))))
        step = PodState(hostile, hostile, "data", "Failed", containers=(replace(ended, name=hostile),))
        found.append(replace(ready, steps=(step,), engines=(step,)))
    for reason, message, *_ in [*OF_PODS, *(("FailedCreate", *one) for one in OF_JOBS), (hostile, hostile)]:
        for text in (f"{message} {hostile}", message.replace("my-ca", hostile).replace("compute", hostile)):
            events = tuple(WarningEvent(hostile, kind, hostile, reason, text) for kind in ("Pod", "Job"))
            pending = PodState(hostile, hostile, mode, "Pending")
            job = JobState(hostile, hostile, "data")
            found.append(Snapshot(node=pending, jobs=(job,), engines=(pending,), warnings=events))
            of_set = replace(events[0], kind="ReplicaSet", about=f"f{hostile}-1")
            found.append(Snapshot(warnings=(of_set,)))
            evicted = replace(pending, phase="Failed", evicted=f"Evicted: {text}")
            waiting = replace(pending, containers=(ContainerState(hostile, waiting="ErrImagePull", message=text),))
            found += [
                replace(ready, steps=(evicted, replace(pending, unscheduled=text))),
                replace(ready, steps=(waiting,)),
            ]
    party = {"domain_id": hostile, "state": "Pending", "err_msg": f"{hostile} waiting for task resource"}
    job_status = {"state": "Failed", "tasks": [{"parties": [party]}]}
    silent = {"state": "Running", "tasks": [{"parties": [party | {"err_msg": ""}]}]}
    report = (Report("kusciaapi-rejected", printable(hostile), see="kubectl get pods"),)
    row = {"domain": "alice", "status": hostile, "node": hostile}
    found += [
        replace(ready, latest_job=EngineJob(hostile, status, {hostile: hostile}, 300))
        for status in (job_status, silent)
    ]
    found += [
        replace(ready, domains=(row,)),
        replace(ready, routes=(RouteState(hostile, hostile, f"https://{hostile}", False, hostile),)),
        replace(ready, probes=tuple(Probe(of, f"https://{hostile}", report) for of in (MASTER, "alice", "bob"))),
        replace(ready, api=report, database=report),
        replace(ready, started_with={"secrets": {f"{hostile}/k": "a"}}, present={"secrets": {f"{hostile}/k": "b"}}),
        replace(ready, node=None, engines=(PodState(hostile, hostile, hostile, "Running"),)),
    ]
    return found


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("mode", ["master", "lite"])
def test_quotes_text_in_commands_and_removes_control_characters(mode: str, hostile: str) -> None:
    config = release(mode, hostile)
    checked = 0
    for snapshot in snapshots(mode, hostile):
        for finding in diagnose(config, snapshot):
            assert WORD not in QUOTED.sub("", finding.fix), finding
            assert (finding.fix.isprintable(), finding.seen.isprintable()) == (True, True), finding
            assert all(line.isprintable() for line in finding.cause.split("\n")), finding
            checked += 1
    assert checked > 60


def test_every_pattern_captures_on_one_line_only() -> None:
    for one in (*KUSCIA, *ENGINE, *JOB, *EVENTS, *HOST):
        assert "(?s" not in one.pattern
