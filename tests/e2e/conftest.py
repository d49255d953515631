"""The demo, as `make demo` left it on the cluster."""

import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from testbed.cluster.kubectl import Kubectl
from testbed.demo.demo import Demo
from testbed.demo.releases import MASTER
from tests.e2e import engines


def _demo() -> Demo:
    return Demo(
        os.environ.get("CLUSTER", "kuscia"),
        os.environ.get("IMAGE_PREFIX", ""),
        os.environ.get("KUSCIA_IMAGE", ""),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows the engines' logs: their pods go with the test's namespaces."""
    report = yield
    if report.failed and item.get_closest_marker("cluster"):
        report.sections.append(("engines", engines.last_words(_demo().kubectl)))
    return report


@pytest.fixture(scope="session")
def demo() -> Demo:
    return _demo()


@pytest.fixture(scope="session")
def kubectl(demo: Demo) -> Kubectl:
    if not demo.kubectl.exists("deployment", MASTER.fullname, "-n", MASTER.namespace):
        pytest.fail("the demo is not up; run `make demo` first")
    return demo.kubectl


@pytest.fixture(scope="session")
def image_refs(demo: Demo) -> dict[str, str]:
    return demo.images()


@pytest.fixture(scope="session")
def next_kuscia(demo: Demo) -> str:
    """Another Kuscia image than that of `images`: KUSCIA_IMAGE_NEXT, else one that is made of the first."""
    return demo.next_kuscia(os.environ.get("KUSCIA_IMAGE_NEXT", ""))


@pytest.fixture(scope="session")
def images(demo: Demo, image_refs: dict[str, str]) -> Path:
    """The values layer with the images that the demo runs."""
    return demo.image_values(image_refs)


def eventually(check: Callable[[], object], timeout: float, what: str, every: float = 2) -> None:
    """Wait until `check` is truthy; its last exception or result is part of the failure."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = check()
            if last:
                return
        except Exception as error:
            last = error
        time.sleep(every)
    pytest.fail(f"{what}: not within {timeout:.0f} s; last seen: {last}")
