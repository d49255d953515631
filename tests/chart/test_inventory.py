"""The exact set of objects of each preset, to detect unintended changes.

After an intended change, run `UPDATE_GOLDEN=1 pytest tests/chart/test_inventory.py` and review the diff.
"""

import os
import re
from pathlib import Path

import pytest

from tests.chart.render import PRESETS as DIRECTORY
from tests.chart.render import Object, Scenario, hook
from tests.chart.scenarios import PRESETS

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("scenario", PRESETS, ids=lambda scenario: scenario.name)
def test_renders_the_objects_of_the_inventory(scenario: Scenario) -> None:
    lines = sorted(" ".join([item["kind"], _name(item["metadata"]), hook(item)]).rstrip() for item in scenario.objects)
    path = GOLDEN / f"{scenario.name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text("\n".join(lines) + "\n")
    assert lines == path.read_text().splitlines()


def _name(metadata: Object) -> str:
    return f"{metadata['namespace']}/{re.sub(r'-[0-9a-f]{10}$', '-<hash>', metadata['name'])}"


def test_inventories_cover_every_preset() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.yaml")} == {name for item in PRESETS for name in item.presets}
