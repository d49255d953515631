"""The commands of docs/backup.md, for the releases of a variant."""

from pathlib import Path

from tests.e2e import guide
from tests.e2e.variants import Variant

DOCUMENT = "backup.md"
SAVE = guide.commands(DOCUMENT, "Save a release")
STATE_POD, *SAVE_STATE = guide.commands(DOCUMENT, "Save the state of a master on sqlite")
KEYS, STATE, RELEASE = guide.commands(DOCUMENT, "Restore")


def shell(made: Variant, directory: Path, party: str, *blocks: str, **more: str) -> str:
    """Run blocks for the release of a party, with the variables of the document."""
    release = made.release(party)
    variables = {"NS": release.namespace, "NAME": release.fullname, **more}
    return guide.run(made.kubectl, directory, variables, *blocks)


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
