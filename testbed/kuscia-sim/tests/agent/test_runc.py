"""RunC: a lite starts and rejects engines with a message."""

import asyncio
import logging
from pathlib import Path

import pytest

from kuscia_sim.agent import run_agent
from kuscia_sim.agent.runc import WHY
from kuscia_sim.jobs import run_job_controller
from kuscia_sim.node.host import Host
from kuscia_sim_testing import job_harness as h


async def test_job_fails_with_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = await h.open_store(tmp_path)
    master = h.make_node(store, "master", "kuscia-system", h.KEY)
    alice = h.make_node(store, "lite", "alice", h.KEY)
    object.__setattr__(alice.config, "runtime", "runc")
    ready = asyncio.Event()
    place = Host(tmp_path, "127.0.0.1", 0, alice.hostname, "127.0.0.1", False)
    tasks = [asyncio.create_task(run_job_controller(master)), asyncio.create_task(run_agent(alice, place, ready))]
    try:
        with caplog.at_level(logging.WARNING):
            await asyncio.wait_for(ready.wait(), 5)
        assert WHY in caplog.text
        jobs = h.Jobs(store)
        await h.add_app_image(store, "any", "true")
        await jobs.create(h.job_request("j", "any", "alice"))
        status = await h.wait_state(jobs, "j", "Failed", 20)
        assert WHY in status["err_msg"]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()
