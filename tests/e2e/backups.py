"""The commands of docs/backup.md and docs/operations.md, for the releases of a variant."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.e2e import guide
from tests.e2e.variants import Variant
from tests.fuzz.values import merge

DOCUMENT = "backup.md"
_, SAVE_VALUES = guide.commands("operations.md", "Change values")
SAVE = guide.commands(DOCUMENT, "Save a release")
STATE_POD, *SAVE_STATE = guide.commands(DOCUMENT, "Save the state of a master on SQLite")
KEYS, STATE, RELEASE = guide.commands(DOCUMENT, "Restore")


def shell(made: Variant, directory: Path, party: str, *blocks: str, **more: str) -> str:
    """Run blocks for the release of a party, with the variables of the document."""
    release = made.release(party)
    variables = {"NS": release.namespace, "NAME": release.fullname, **more}
    return guide.run(made.kubectl, directory, variables, *blocks)


def save_values(made: Variant, directory: Path, party: str, changes: Mapping[str, Any] | None = None) -> None:
    """Write the values file that the pages use, from the installed release, with changes."""
    shell(made, directory, party, SAVE_VALUES)
    file = directory / f"{made.release(party).fullname}.values.yaml"
    # As JSON: Helm reads a plain `y`, the name of a column, as true.
    file.write_text(json.dumps(merge(yaml.safe_load(file.read_text()), dict(changes or {}))))


def save(made: Variant, directory: Path, party: str, own: str = "") -> None:
    """Save a release.

    Args:
        own: a Secret that the chart did not create.
    """
    shell(made, directory, party, *SAVE, OWN=f"secret/{own}" if own else "")


def step_log(made: Variant, party: str, step: str) -> str:
    """Return the log of the newest pod of a step."""
    selector, namespace = f"app.kubernetes.io/component={step}", made.namespace(party)
    order = "--sort-by=.metadata.creationTimestamp"
    pods = made.kubectl.run("get", "pods", "-n", namespace, "-l", selector, order, "-o", "name").split()
    return made.kubectl.run("logs", "-n", namespace, pods[-1])
