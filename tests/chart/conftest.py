import pytest

from tests.chart.render import Scenario
from tests.chart.scenarios import ALL


@pytest.fixture(params=ALL, ids=lambda scenario: scenario.name)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """One way to install the chart."""
    found: Scenario = request.param
    return found
