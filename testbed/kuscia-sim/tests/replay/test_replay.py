"""Every line of every transcript, in order, against real processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kuscia_sim_testing import prepare
from kuscia_sim_testing.recording import directory, load
from kuscia_sim_testing.replay import Replay, Result, table
from kuscia_sim_testing.world import World

TRANSCRIPTS = sorted(path.stem for path in directory().glob("*-transcript.jsonl"))


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_answers_are_those_recorded(
    name: str, tmp_path: Path, kubeconfig: str, record_property: Callable[[str, str], None]
) -> None:
    lines = load(name)
    replayed: list[Result] = []
    try:
        with World(tmp_path, lines, kubeconfig) as world:
            replayed.extend(Replay(lines, world).run(prepare.BEFORE.get(name)))
    finally:
        record_property(f"Replay of {name}", table(replayed))
    assert len(replayed) == len(lines) > 0
    failed = [result.line.name for result in replayed if result.problems]
    assert not failed, f"{len(failed)} of {len(lines)} differ; the table below says how"
