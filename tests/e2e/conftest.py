"""Fixtures of the demo, as `make demo` installed it."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.demo.demo import Demo
from testbed.demo.failure_report import failure_report
from testbed.demo.releases import RELEASES
from tests.e2e import engines
from tests.e2e.variants import EXISTING


def _demo() -> Demo:
    return Demo(
        os.environ.get("CLUSTER", "kuscia"),
        os.environ.get("IMAGE_PREFIX", ""),
        os.environ.get("KUSCIA_IMAGE", ""),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add pods, Jobs and logs of all parties to a failure: their namespaces are deleted after the test."""
    report = yield
    if report.failed and item.get_closest_marker("cluster"):
        kubectl = _demo().kubectl
        text = "\n".join(variant.report() for variant in EXISTING)
        report.sections.append(("parties", text or failure_report(kubectl, [one.namespace for one in RELEASES])))
        report.sections.append(("engines", engines.last_words(kubectl)))
    return report


@pytest.fixture(scope="session")
def demo() -> Demo:
    return _demo()


@pytest.fixture(scope="session")
def kubectl(demo: Demo) -> Kubectl:
    """Return kubectl of the cluster. The demo may be missing: other tests that run at the same time reinstall it."""
    return demo.kubectl


@pytest.fixture(scope="session")
def image_refs(demo: Demo) -> dict[str, str]:
    return demo.images()


@pytest.fixture(scope="session")
def next_kuscia(demo: Demo) -> str:
    """A second Kuscia image, for upgrades: KUSCIA_IMAGE_NEXT, or one derived from the first."""
    return demo.next_kuscia(os.environ.get("KUSCIA_IMAGE_NEXT", ""))


@pytest.fixture(scope="session")
def images(demo: Demo, image_refs: dict[str, str]) -> Path:
    """The values layer with the images of the demo."""
    return demo.image_values(image_refs)
