"""One host cluster for all replays; the table of what was replayed comes at the end."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contract import inprocess
from contract.hostcluster import ABSENT_IMAGES, HostClusterServer


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    host = HostClusterServer(ABSENT_IMAGES)
    yield host.kubeconfig
    host.close()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[inprocess.Cluster]:
    async for cluster in inprocess.serve(tmp_path):
        yield cluster


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for title, text in report.user_properties:
                terminalreporter.section(title)
                terminalreporter.write_line(text)
