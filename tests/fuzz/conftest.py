from collections.abc import Iterator

import pytest

from tests.fuzz.api_server import Client, running


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """An API server for strict dry runs."""
    with running() as address:
        yield Client(address)
