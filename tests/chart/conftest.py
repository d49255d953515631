from pathlib import Path

import pytest

from tests.chart import k8s_schemas, operator_schemas
from tests.chart.render import Scenario
from tests.chart.scenarios import ALL


@pytest.fixture(params=ALL, ids=lambda scenario: scenario.name)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """One way to install the chart."""
    found: Scenario = request.param
    return found


@pytest.fixture(scope="session", params=k8s_schemas.VERSIONS)
def schema_location(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the -schema-location for kubeconform, for each Kubernetes version with definitions."""
    directory: Path = tmp_path_factory.mktemp("schemas")
    operator_schemas.write(directory)
    return k8s_schemas.write(directory, request.param)
