"""Start, inspect and stop daemons. Nothing supervises them; `up` restarts stopped ones."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import cgroups, namespaces
from .errors import ClusterError
from .names import Names

LOG_LIMIT = 50 * 2**20
STOP_SECONDS = 10


@dataclass(frozen=True)
class Daemon:
    """One long-running process of the cluster.

    argv: program and arguments; the program is an absolute path.
    healthy: says in a word or two why the daemon does not work, or None when it does.
    files: configuration files it reads at start, path -> text; a change restarts it.
    seconds: how long it may take to become healthy.
    outside: runs in the machine's own network.
    leaves_children: children outlive a restart (containerd's shims).
    """

    name: str
    argv: tuple[str, ...]
    healthy: Callable[[], str | None]
    files: dict[Path, str] = field(default_factory=dict)
    seconds: int = 60
    outside: bool = False
    leaves_children: bool = False

    @property
    def fingerprint(self) -> str:
        """Changes when the daemon must be restarted to take a new program or configuration."""
        content = json.dumps([self.argv, {str(k): v for k, v in self.files.items()}, self.outside])
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Record:
    """What a daemon wrote about itself before it became its program."""

    pid: int
    started: int  # clock ticks since boot, field 22 of /proc/PID/stat; tells a reused PID
    fingerprint: str


def log_file(names: Names, daemon: str) -> Path:
    return names.logs / f"{daemon}.log"


def running(names: Names, daemon: Daemon) -> Record | None:
    """Return the record of a daemon if its process still runs."""
    try:
        record = Record(**json.loads((names.pids / f"{daemon.name}.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):  # absent, or cut off by a kill
        return None
    return record if _start_time(record.pid) == record.started else None


def current(names: Names, daemon: Daemon) -> bool:
    """Whether it runs with today's program and configuration."""
    record = running(names, daemon)
    return record is not None and record.fingerprint == daemon.fingerprint


def start(names: Names, daemon: Daemon) -> None:
    """Start a daemon that does not run; do not wait until it is healthy."""
    stop(names, daemon)
    for path, text in daemon.files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names.pids.mkdir(parents=True, exist_ok=True)
    names.logs.mkdir(parents=True, exist_ok=True)
    log = log_file(names, daemon.name)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.old"))
    group = cgroups.daemon_group(names, daemon.name)

    def become() -> None:
        # In the child, before its program: from here on the cgroup knows it, even if we are killed.
        (group / "cgroup.procs").write_text("0")
        pid = os.getpid()
        record = {"pid": pid, "started": _start_time(pid), "fingerprint": daemon.fingerprint}
        (names.pids / f"{daemon.name}.json").write_text(json.dumps(record))

    prefix = namespaces.enter_mounts(names) if daemon.outside else namespaces.enter(names)
    with log.open("ab") as output:
        subprocess.Popen(
            [*prefix, *daemon.argv],
            preexec_fn=become,
            start_new_session=True,
            cwd="/",
            env=namespaces.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def stop(names: Names, daemon: Daemon) -> None:
    """Stop a daemon, and its children unless it leaves them; do nothing if it does not run."""
    record = running(names, daemon)
    if record is not None:
        os.kill(record.pid, signal.SIGTERM)
        _wait_end(record, STOP_SECONDS)
    group = cgroups.daemon_group(names, daemon.name)
    deadline = time.monotonic() + STOP_SECONDS
    while pids := _leftovers(names, daemon, group):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise ClusterError(f"{daemon.name}: process {pids[0]} does not end after SIGKILL; see: ps -fp {pids[0]}")
        time.sleep(0.05)
    (names.pids / f"{daemon.name}.json").unlink(missing_ok=True)


def _leftovers(names: Names, daemon: Daemon, group: Path) -> list[int]:
    if not daemon.leaves_children:
        return cgroups.processes(group)
    record = running(names, daemon)
    return [record.pid] if record else []


def _wait_end(record: Record, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while _start_time(record.pid) == record.started and time.monotonic() < deadline:
        time.sleep(0.05)


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, or None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def tail(names: Names, daemon: str, lines: int = 25) -> str:
    """Return the end of the log of a daemon, for an error message."""
    path = log_file(names, daemon)
    if not path.exists():
        return "(no log)"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64 * 1024))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def wait_healthy(names: Names, daemons: list[Daemon]) -> None:
    """Wait until all daemons are healthy.

    Raises:
        ClusterError: daemons timed out or exited; with the reason and log of each.
    """
    began = time.monotonic()
    said = began
    waiting = {daemon.name: daemon for daemon in daemons}
    reasons: dict[str, str] = {}
    failed: dict[str, str] = {}
    while waiting:
        for name, daemon in list(waiting.items()):
            reason = daemon.healthy()
            if reason is None:
                del waiting[name]
            elif running(names, daemon) is None:
                failed[name] = "exited"
                del waiting[name]
            elif time.monotonic() - began > daemon.seconds:
                failed[name] = f"not healthy after {daemon.seconds} s: {reason}"
                del waiting[name]
            else:
                reasons[name] = reason
        if failed:
            raise ClusterError(
                "\n".join(
                    f"{name} {why}\n--- end of {log_file(names, name)}:\n{tail(names, name)}"
                    for name, why in failed.items()
                )
            )
        if waiting and time.monotonic() - said > 10:
            said = time.monotonic()
            seen = "; ".join(f"{name}: {reasons[name]} (tail -f {log_file(names, name)})" for name in waiting)
            print(f"  {said - began:.0f} s, waiting for {seen}", flush=True, file=sys.stderr)
        if waiting:
            time.sleep(0.1)
