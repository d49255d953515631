from pathlib import Path

import pytest

from tests.chart import k8s_schemas
from tests.gitops import definitions


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The -schema-location arguments for kubeconform: Kubernetes, Flux, Argo CD."""

    def directory(name: str) -> Path:
        return tmp_path_factory.mktemp(name)

    return [
        definitions.write_schemas(directory("controllers")),
        k8s_schemas.write(directory("kubernetes"), k8s_schemas.VERSIONS[-1]),
    ]
