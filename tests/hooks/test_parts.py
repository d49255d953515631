"""Parts of a release that are read side by side."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kuscia_hooks.core.errors import RetryableError
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.inspect.parts import PARALLEL, Parts, Unread
from tests.hooks.fakes.dripping import dripping


def fails() -> str:
    raise RetryableError("kusciaapi-busy", "the message")


def test_reads_parts_at_the_same_time() -> None:
    """Each part waits for all others."""
    together = threading.Barrier(PARALLEL, timeout=20)
    parts = Parts()
    started = [parts.start(str(number), together.wait) for number in range(PARALLEL)]
    assert sorted(part.get() for part in started) == list(range(PARALLEL))


def test_part_may_need_an_earlier_one() -> None:
    """Also when there are more parts than threads."""
    parts = Parts()
    go = threading.Event()
    first = parts.start("first", lambda: go.wait(20))
    others = [parts.start(str(number), first.get) for number in range(2 * PARALLEL)]
    go.set()
    assert all(part.get() for part in others)


def test_reports_a_failed_part_once() -> None:
    parts = Parts()
    failed = parts.start("KusciaAPI", fails)
    needs_it = parts.start("domains", lambda: failed.get())
    with pytest.raises(Unread):
        needs_it.get()
    assert (failed.get_or("none"), needs_it.get_or("none")) == ("none", "none")
    (problem,) = parts.unread()
    assert problem.startswith("KusciaAPI: [kusciaapi-busy]")


def test_ends_at_the_deadline() -> None:
    parts = Parts(Deadline(0.05))
    hangs = parts.start("events", threading.Event().wait)
    reads = parts.start("pods", lambda: "read")
    assert reads.get() == "read"
    assert hangs.get_or(False) is False
    (problem,) = parts.unread()
    assert problem.startswith("events: ")


def test_does_not_hide_programming_errors() -> None:
    with pytest.raises(ZeroDivisionError):
        Parts().start("sum", lambda: 1 // 0).get()


HANGING = """
import sys, threading
from pathlib import Path
from kuscia_hooks.core.waiting import Deadline
from kuscia_hooks.inspect import kuscia_state
from kuscia_hooks.inspect.parts import Parts
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.domain_key import load_key

url, key = sys.argv[1:]
parts = Parts(Deadline(1.0))
api = KusciaAPI(url, "NOTLS", "a", load_key(Path(key).read_bytes()))
parts.start("domains", lambda: kuscia_state.nodes(api, ["a", "b"]))
parts.start("library", threading.Event().wait)
print(len(parts.unread()))
sys.exit(3)
"""


def test_process_ends_although_parts_hang(tmp_path: Path, key_pem: bytes) -> None:
    """A request in a thread pool, for which Python waits at its exit, and a call without any limit."""
    (tmp_path / "key").write_bytes(key_pem)
    with dripping(b"", head=b"") as url:
        command = [sys.executable, "-c", HANGING, url, str(tmp_path / "key")]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (result.returncode, result.stdout, result.stderr) == (3, "2\n", "")
