"""One host cluster for all replays; the table of what was replayed comes at the end."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contract import inprocess
from contract.hostcluster import ABSENT_IMAGES, HostClusterServer
from contract.replay import Result, table

RESULTS = pytest.StashKey[dict[str, list[Result]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RESULTS] = {}


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    host = HostClusterServer(ABSENT_IMAGES)
    yield host.kubeconfig
    host.close()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[inprocess.Cluster]:
    async for cluster in inprocess.serve(tmp_path):
        yield cluster


@pytest.fixture
def results(request: pytest.FixtureRequest) -> dict[str, list[Result]]:
    return request.config.stash[RESULTS]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, replayed in config.stash[RESULTS].items():
        terminalreporter.section(name)
        terminalreporter.write_line(table(replayed))
