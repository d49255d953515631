"""Fixtures that several packages share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kuscia_sim_testing import inprocess
from kuscia_sim_testing.hostcluster import ABSENT_IMAGES, HostClusterServer


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    host = HostClusterServer(ABSENT_IMAGES)
    yield host.kubeconfig
    host.close()


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[inprocess.Cluster]:
    async for cluster in inprocess.serve(tmp_path):
        yield cluster
