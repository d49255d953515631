"""Importing images into a node whose containerd collects garbage at a bad moment."""

from pathlib import Path

import pytest

from testbed.cluster import archives, nodeimages
from testbed.cluster.errors import ClusterError
from testbed.cluster.names import Names

REF = "docker.io/local/x:1"


class Containerd:
    """Stands for ctr; `failures` are what its next imports end with."""

    def __init__(self, *failures: str) -> None:
        self.failures = list(failures)
        self.calls: list[tuple[str, ...]] = []

    def __call__(self, _names: Names, *arguments: str) -> str:
        self.calls.append(arguments[:2])
        if arguments[1] == "import" and self.failures:
            raise ClusterError(self.failures.pop(0))
        return ""


def use(monkeypatch: pytest.MonkeyPatch, containerd: Containerd) -> None:
    monkeypatch.setattr(nodeimages, "_ctr", containerd)
    monkeypatch.setattr(archives, "identity", lambda _archive: "sha256:1")


def test_imports_again_when_the_index_was_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    containerd = Containerd("ctr: content digest sha256:f: not found")
    use(monkeypatch, containerd)
    assert nodeimages.import_archive(Names("clutest"), Path("x.tar"), REF)
    steps = [("images", "ls"), ("images", "import"), ("images", "rm"), ("images", "import"), ("images", "label")]
    assert containerd.calls == steps


@pytest.mark.parametrize(
    "failures",
    [("no space left on device",), tuple(f"content digest {attempt}" for attempt in range(nodeimages.IMPORTS))],
)
def test_reports_other_failures(monkeypatch: pytest.MonkeyPatch, failures: tuple[str, ...]) -> None:
    use(monkeypatch, Containerd(*failures))
    with pytest.raises(ClusterError, match=failures[-1]):
        nodeimages.import_archive(Names("clutest"), Path("x.tar"), REF)
