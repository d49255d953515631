"""What the benchmark does on a cluster without enough releases, with a program in place of kubectl."""

import os
from pathlib import Path

import pytest

from bench import plugin, timeline


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a kubectl on the PATH that prints the file `answer` next to it."""
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\ncat "$(dirname "$0")/answer"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "answer"


def test_counts_releases(kubectl: Path) -> None:
    kubectl.write_text("cronjob.batch/kuscia-master-doctor\ncronjob.batch/kuscia-lite-alice-doctor\n")
    assert plugin.releases(kubectl) == 2


def test_does_not_measure_fewer_releases_than_the_target_counts(kubectl: Path) -> None:
    kubectl.write_text("cronjob.batch/kuscia-master-doctor\n" * 5)
    with pytest.raises(plugin.NotMeasured):
        next(plugin.plugin(kubectl))
    assert not any(figure.met for figure in plugin.not_measured())


def test_timeline_requires_a_release(kubectl: Path) -> None:
    kubectl.write_text('{"items": []}')
    with pytest.raises(plugin.NotMeasured):
        timeline.record(kubectl)
