"""What `make release-dry-run` built, installed as a user does: the chart from a registry, with the image it names."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from release import versions
from testbed.demo.demo import Demo
from testbed.demo.releases import ROOT, image_values
from testbed.images import builder
from testbed.servers.registry import registry
from tests.e2e.variants import Variant, variant

pytestmark = pytest.mark.release

ARTIFACTS = ROOT / "build/release"
PORT = 15018
PARTIES = ("master", "alice")


@pytest.fixture(scope="module")
def chart(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked chart, after it was pushed to a registry and pulled from there."""
    assert demo.local is not None, "the registry runs in a local cluster's network"
    directory = tmp_path_factory.mktemp("pulled")
    server = builder.build(["registry"])["registry"]
    builder.load(demo.local, [server])
    package = ARTIFACTS / f"kuscia-{versions.version()}.tgz"
    with registry(demo.local, demo.kubectl, "v-release-registry", server.ref, PORT, private=False) as running:
        charts = f"oci://{running.host}/charts"
        pull = (
            "pull",
            f"{charts}/kuscia",
            "--version",
            versions.version(),
            "--plain-http",
            "--destination",
            str(directory),
        )
        for command in (("push", "--plain-http", str(package), charts), pull):
            subprocess.run([*demo.local.nsenter, str(demo.local.bin / "helm"), *command], check=True)
    pulled = directory / package.name
    assert pulled.read_bytes() == package.read_bytes()
    subprocess.run(["tar", "-xzf", str(pulled), "-C", str(directory)], check=True)
    return directory / "kuscia"


@pytest.fixture(scope="module")
def image(demo: Demo, chart: Path) -> str:
    """The image of the steps under the name in the values of the chart, on the node."""
    assert demo.local is not None
    repository = yaml.safe_load((chart / "values.yaml").read_text())["global"]["kuscia"]["hooksImage"]["repository"]
    reference = f"{repository}:{versions.version()}"
    demo.local.import_image(ARTIFACTS / f"kuscia-hooks-{versions.version()}.tar", reference)
    return reference


@pytest.fixture(scope="module")
def installed(demo: Demo, chart: Path, image: str) -> Iterator[Variant]:
    layer = chart.parent / "kuscia-image.yaml"
    kuscia = image_values(demo.kuscia())
    layer.write_text(json.dumps({"master": {"image": kuscia}, "lite": {"image": kuscia}}))
    with variant(demo, layer, "release", parties=PARTIES, bare=True, chart=chart) as made:
        made.install_all()
        yield made


def test_all_containers_of_the_steps_run_the_released_image(installed: Variant, image: str) -> None:
    for party in PARTIES:
        containers = installed.pod(party)["spec"]["initContainers"]
        assert {container["image"] for container in containers if container["name"] == "prepare"} == {image}


def test_helm_test_passes(installed: Variant) -> None:
    installed.wait_for_node("alice")
    assert installed.test().count("Phase:          Succeeded") == len(PARTIES)
