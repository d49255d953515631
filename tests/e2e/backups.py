"""The commands of docs/backup.md, run on the releases of a variant."""

from pathlib import Path

from tests.e2e import guide
from tests.e2e.variants import Variant

DOCUMENT = "backup.md"
SAVE = guide.commands(DOCUMENT, "Save a release")
STATE_POD, *SAVE_STATE = guide.commands(DOCUMENT, "Save the state of a master on sqlite")
KEYS, STATE, RELEASE = guide.commands(DOCUMENT, "Restore")
# Kuscia counts a gateway that is gone as alive for three minutes (Kuscia facts 16.2).
RECONNECT_SECONDS = 300


def shell(made: Variant, directory: Path, party: str, *blocks: str, **more: str) -> str:
    """Run blocks for one party's release, with the variables that the document asks for."""
    release = made.release(party)
    variables = {"NS": release.namespace, "NAME": release.fullname, **more}
    return guide.run(made.kubectl, directory, variables, *blocks)


def save(made: Variant, directory: Path, party: str, own: str = "") -> None:
    """Save a release; `own` is a Secret that the chart did not make."""
    shell(made, directory, party, *SAVE, OWN=f"secret/{own}" if own else "")


def step_log(made: Variant, party: str, step: str) -> str:
    """The log of a step's newest pod."""
    selector, namespace = f"app.kubernetes.io/component={step}", made.namespace(party)
    order = "--sort-by=.metadata.creationTimestamp"
    pods = made.kubectl.run("get", "pods", "-n", namespace, "-l", selector, order, "-o", "name").split()
    return made.kubectl.run("logs", "-n", namespace, pods[-1])
