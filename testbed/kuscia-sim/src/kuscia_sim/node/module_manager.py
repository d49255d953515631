"""Kuscia's module manager: starts modules in order and ends the process when one fails (Kuscia facts 1.2).

The log lines are those of recordings/startup-cases.
"""

import asyncio
import dataclasses
import traceback
from collections.abc import Awaitable, Callable

from kuscia_sim.log import Log

READY_TIMEOUT = 60.0
EXIT_TIMEOUT = 3.0
BAR = "+" * 70

log = Log(__name__)


class ModuleFailed(Exception):
    """A module failed; str() is what the manager logs."""


class NotGraceful(Exception):
    """Modules did not end in time; the process exits with status 1 (recordings/startup-cases/nodb.log)."""

    def __init__(self) -> None:
        super().__init__("some modules are not graceful exit, so exit process atonce")


@dataclasses.dataclass
class Module:
    """A part of the node. `run` sets the event when it is ready, and continues until cancelled.

    It raises ModuleFailed if it cannot continue. Existing modules named in `after` start first.
    """

    name: str
    run: Callable[[asyncio.Event], Awaitable[None]]
    after: tuple[str, ...] = ()
    ready_timeout: float = READY_TIMEOUT
    ready: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    announced: bool = False


class Manager:
    """Runs a set of modules until `stop` is set or one of them fails."""

    def __init__(self, modules: list[Module]) -> None:
        names = {module.name for module in modules}
        self._modules = modules
        self._after = {module.name: set(module.after) & names for module in modules}
        self._started: dict[str, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Run the modules; return after all of them ended.

        Raises:
            NotGraceful: they did not end in time.
        """
        stopping = asyncio.create_task(_wait(stop))
        try:
            await self._start_and_watch(stopping)
        finally:
            stopping.cancel()
            await self._graceful_exit()

    async def _start_and_watch(self, stopping: asyncio.Task[None]) -> None:
        for module in self._modules:
            if not self._after[module.name]:
                log.info("start/manager.go:161", f"module({module.name}) no dep so start")
                self._start(module)
        up = False
        while True:
            waiting = {asyncio.create_task(_wait(m.ready)): m for m in self._modules if m.task and not m.announced}
            running = {m.task: m for m in self._modules if m.task and not m.task.done()}
            ended = [m for m in self._modules if m.task and m.task.done() and _failure(m) is not None]
            if ended:
                self._log_end(ended[0])
                return
            done, _ = await asyncio.wait(
                {stopping, *waiting, *running}, timeout=self._time_left(), return_when=asyncio.FIRST_COMPLETED
            )
            for task in waiting:
                task.cancel()
            if stopping in done:
                log.info("start/manager.go:200", "Got process exit signal, so start gracefulExit")
                return
            failed = [running[task] for task in done if task in running and _failure(running[task]) is not None]
            if failed:
                self._log_end(failed[0])
                return
            late = self._late()
            if late:
                log.error(
                    "start/manager.go:180",
                    f"[Module] {late.name} wait ready failed with wait {late.name} ready timeout, "
                    "so start gracefulExit",
                )
                return
            self._announce()
            if not up and all(module.announced for module in self._modules):
                up = True
                log.info("start/manager.go:218", "[Module] all modules are startup")
                log.info("start/manager.go:219", BAR)
                log.info("start/manager.go:220", "Kuscia started success")
                log.info("start/manager.go:221", BAR)

    def _start(self, module: Module) -> None:
        log.info("start/manager.go:323", f"Try to start module {module.name}")
        module.task = asyncio.create_task(_run(module), name=module.name)
        self._started[module.name] = asyncio.get_running_loop().time()
        log.info("start/manager.go:330", f"[Module] {module.name} is created")
        log.info("start/manager.go:173", f"new created module: {module.name}")

    def _announce(self) -> None:
        for module in self._modules:
            if module.task and module.ready.is_set() and not module.announced:
                module.announced = True
                log.info("start/manager.go:183", f"[Module] {module.name} is ready now")
        ready = {module.name for module in self._modules if module.announced}
        for module in self._modules:
            if module.task is None and self._after[module.name] <= ready:
                self._start(module)

    def _deadlines(self) -> dict[str, float]:
        return {
            module.name: self._started[module.name] + module.ready_timeout
            for module in self._modules
            if module.task and not module.announced
        }

    def _time_left(self) -> float | None:
        deadlines = self._deadlines()
        return max(0.0, min(deadlines.values()) - asyncio.get_running_loop().time()) if deadlines else None

    def _late(self) -> Module | None:
        now, deadlines = asyncio.get_running_loop().time(), self._deadlines()
        return next(
            (m for m in self._modules if m.name in deadlines and deadlines[m.name] <= now and not m.ready.is_set()),
            None,
        )

    async def _graceful_exit(self) -> None:
        """End modules step by step, those first that no running module depends on."""
        log.info("start/manager.go:382", "GracefulExit started...")
        left = {module.name: module for module in self._modules if module.task and not module.task.done()}
        while left:
            step = [
                module
                for name, module in left.items()
                if not any(name in self._after[other] for other in left if other != name)
            ]
            for module in step:
                log.info("start/manager.go:361", f"[Module] {module.name} notified to exit...")
                assert module.task
                module.task.cancel()
            _, pending = await asyncio.wait([module.task for module in step if module.task], timeout=EXIT_TIMEOUT)
            if pending:
                raise NotGraceful
            for module in step:
                del left[module.name]
                self._log_end(module)
            log.info("start/manager.go:375", "Current step modules are finished now")

    def _log_end(self, module: Module) -> None:
        failure = _failure(module)
        if failure:
            assert module.task
            err = module.task.exception()
            if err and not isinstance(err, ModuleFailed):
                log.error("", "".join(traceback.format_exception(err)).rstrip())
            log.info("start/manager.go:343", f"[Module] {module.name} is finished with err={failure}")
        else:
            log.info("start/manager.go:346", f"[Module] {module.name} is successful finished")


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _run(module: Module) -> None:
    await module.run(module.ready)


def _failure(module: Module) -> str | None:
    """Return why a module ended; None if it was told to."""
    assert module.task
    if module.task.cancelled():
        return None
    err = module.task.exception()
    if err is None:
        return None
    if isinstance(err, ModuleFailed):
        return str(err)
    return f"{type(err).__name__}: {err}"
