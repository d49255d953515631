"""The module manager: order, failures, exit (Kuscia facts 1.2; recordings/startup-cases)."""

import asyncio
import logging
from unittest.mock import Mock

import pytest

from kuscia_sim.node import module_manager
from kuscia_sim.node.config import Config
from kuscia_sim.node.instance import Instance
from kuscia_sim.node.module_manager import Manager, Module, ModuleFailed, NotGraceful


def module(name: str, happened: list[str], after: tuple[str, ...] = (), fail: str = "", timeout: float = 5) -> Module:
    async def run(ready: asyncio.Event) -> None:
        happened.append(f"{name} starts")
        try:
            await asyncio.sleep(0.01)
            if fail:
                raise ModuleFailed(fail)
            ready.set()
            await asyncio.Event().wait()
        finally:
            happened.append(f"{name} ends")

    return Module(name, run, after, timeout)


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


async def test_starts_in_order_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    happened: list[str] = []
    manager = Manager([module("c", happened, ("b", "absent")), module("b", happened, ("a",)), module("a", happened)])
    stop = asyncio.Event()
    running = asyncio.create_task(manager.run(stop))
    while "Kuscia started success" not in texts(caplog):
        await asyncio.sleep(0.01)
    stop.set()
    await running
    assert happened == ["a starts", "b starts", "c starts", "c ends", "b ends", "a ends"]
    assert "[Module] all modules are startup" in texts(caplog)


async def test_failure_ends_all_modules(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    happened: list[str] = []
    await Manager([module("a", happened), module("b", happened, ("a",), fail="why")]).run(asyncio.Event())
    assert happened[-1] == "a ends"
    assert "[Module] b is finished with err=why" in texts(caplog)
    assert "Kuscia started success" not in texts(caplog)


async def test_fails_when_module_is_never_ready(caplog: pytest.LogCaptureFixture) -> None:
    async def never(_ready: asyncio.Event) -> None:
        await asyncio.Event().wait()

    await Manager([Module("slow", never, ready_timeout=0.05)]).run(asyncio.Event())
    assert "[Module] slow wait ready failed with wait slow ready timeout, so start gracefulExit" in texts(caplog)


async def test_fails_when_module_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_manager, "EXIT_TIMEOUT", 0.05)
    release = asyncio.Event()

    async def stubborn(ready: asyncio.Event) -> None:
        ready.set()
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    stop = asyncio.Event()
    stop.set()
    with pytest.raises(NotGraceful, match="some modules are not graceful exit, so exit process atonce"):
        await Manager([Module("stubborn", stubborn)]).run(stop)
    release.set()


def test_k3s_has_a_shorter_start_timeout() -> None:
    """Kuscia's cmd/kuscia/modules/k3s.go: 30 s."""
    made = Mock(_config=Config(mode="master", domain_id="kuscia-system"))
    found = {module.name: module.ready_timeout for module in Instance.modules(made)}
    assert (found["k3s"], found["domainroute"]) == (30.0, 60.0)
