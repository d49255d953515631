"""Interruptions of a step at each of its writes to KusciaAPI and to the Kubernetes API.

    for moment in moments(prepare, run):
        run_again()
        ...  # check the state

`moments` counts the writes of an undisturbed run, then interrupts one run at each of them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest import mock

from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.core.errors import RetryableError, StepError
from kuscia_hooks.kuscia.api import KusciaAPI
from kuscia_hooks.kuscia.api_errors import Unreachable

_READING = ("query", "batchQuery", "list", "healthZ")
_WRITING = ("create", "patch", "update", "delete")


class Killed(BaseException):
    """The process of the step was killed."""


@dataclass
class Moment:
    """One write of a run, and what happens there.

    Args:
        write: its number; the first one is 0.
        event: `kill`, `lose` (the answer to this write), or `pause` (while another copy of the step runs).
        done: whether the write has been carried out.
    """

    write: int
    event: str
    done: bool

    def __str__(self) -> str:
        return f"{self.event} {'after' if self.done else 'before'} write {self.write}"


_EVENTS = (("kill", False), ("kill", True), ("lose", True))


class _Writes:
    def __init__(self, moment: Moment | None, meanwhile: Callable[[], object] | None) -> None:
        self._moment, self._meanwhile = moment, meanwhile
        self.count = 0
        self._killed = self._paused = False

    def perform(self, writes: bool, call: Callable[[], Any], lost: StepError) -> Any:
        if self._paused:
            return call()
        if self._killed:
            raise Killed
        if not writes:
            return call()
        number, moment = self.count, self._moment
        self.count += 1
        if moment is None or number != moment.write:
            return call()
        if not moment.done:
            self._interrupt(moment, lost)
        answer = call()
        if moment.done:
            self._interrupt(moment, lost)
        return answer

    def _interrupt(self, moment: Moment, lost: StepError) -> None:
        if moment.event == "kill":
            self._killed = True
            raise Killed
        if moment.event == "lose":
            raise lost
        assert self._meanwhile is not None
        self._paused = True
        self._meanwhile()
        self._paused = False


@contextmanager
def _recording(moment: Moment | None = None, meanwhile: Callable[[], object] | None = None) -> Iterator[_Writes]:
    writes, once, kube_call = _Writes(moment, meanwhile), KusciaAPI.once, Kube._call

    def api(self: KusciaAPI, path: str, body: dict[str, Any], **options: Any) -> Any:
        lost = Unreachable("kusciaapi-unreachable", "the answer was lost")
        return writes.perform(not path.endswith(_READING), lambda: once(self, path, body, **options), lost)

    def kube(self: Kube, verb: str, *args: Any, **options: Any) -> Any:
        lost = RetryableError("api-server-unreachable", "the answer was lost")
        return writes.perform(verb in _WRITING, lambda: kube_call(self, verb, *args, **options), lost)

    with mock.patch.object(KusciaAPI, "once", api), mock.patch.object(Kube, "_call", kube):
        yield writes


def moments(
    prepare: Callable[[], None], run: Callable[[], object], meanwhile: Callable[[], object] | None = None
) -> Iterator[Moment]:
    """Yield after each run that was interrupted, with the state as it was left.

    Args:
        prepare: puts the state before a run in place.
        run: the run, one request at a time. It may fail with a StepError once it was interrupted.
        meanwhile: what another process does at the moment of the interruption; by default the run is killed, or loses
            an answer.
    """
    prepare()
    with _recording() as writes:
        run()
    assert writes.count, "there is nothing to interrupt"
    events = _EVENTS if meanwhile is None else (("pause", False), ("pause", True))
    for number in range(writes.count):
        for event, done in events:
            moment = Moment(number, event, done)
            prepare()
            with _recording(moment, meanwhile), suppress(Killed, StepError):
                run()
            yield moment
