"""A node that loses its power, and starts again. It is the node of a cluster of its own."""

from collections.abc import Iterator

import pytest

from kuscia_hooks.core.waiting import Deadline, bounded_by
from testbed.demo.demo import Demo
from tests.e2e import messages, parties
from tests.e2e.partners import Away, away_cluster
from tests.e2e.variants import Variant, fingerprint, variant
from tests.e2e.waiting import RECONNECT_SECONDS, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1800)]

API_SECONDS = 60
KINDS = "secrets,configmaps,persistentvolumeclaims,services,deployments,jobs,pods"


@pytest.fixture(scope="module")
def node(demo: Demo) -> Iterator[Away]:
    with away_cluster(demo, "node") as cluster:
        yield cluster


def complete(made: Variant) -> None:
    """Wait until the Jobs of all parties are complete."""
    for party in made.parties:
        arguments = ("wait", "jobs", "--all", "--for=condition=Complete", "--timeout=5m")
        made.kubectl.run(*arguments, "-n", made.namespace(party), timeout=320)


def objects(made: Variant) -> dict[str, tuple[str, str]]:
    """Return namespace, kind and name of all objects of the parties -> its fingerprint."""
    found = {}
    for party in made.parties:
        for item in made.kubectl.get(KINDS, "-n", made.namespace(party))["items"]:
            metadata = item["metadata"]
            key = f"{metadata['namespace']} {item['kind']} {metadata['name']}"
            found[key] = fingerprint(item)
    return found


def running(made: Variant) -> bool:
    """Return whether the pods of all parties are ready, and their nodes and routes too."""
    for party in made.parties:
        conditions = made.pod(party)["status"]["conditions"]
        assert {"Ready": "True"}.items() <= {one["type"]: one["status"] for one in conditions}.items(), party
    # The connection to a pod that stops gets no answer any more.
    with bounded_by(Deadline(API_SECONDS)):
        assert all(parties.versions(made).values())
        for pair in (parties.LITES, parties.LITES[::-1]):
            assert made.route(*pair)["status"]["status"] == "Succeeded"
    return True


def test_all_parties_return_after_a_restart_of_the_node(node: Away, demo: Demo) -> None:
    """With the same pods, keys, tokens, volumes and declarations. No step runs again, and the example job passes."""
    cluster = Demo(node.cluster.name, "", demo.kuscia_image)
    with parties.three(cluster, node.images, node.refs, "restart") as made:
        parties.install(made)
        eventually(lambda: running(made), RECONNECT_SECONDS, "all parties are ready")
        complete(made)
        before, state = objects(made), parties.state(made)

        node.cluster.restart()
        eventually(lambda: running(made), 2 * RECONNECT_SECONDS, "all parties are ready again")
        assert parties.state(made) == state
        assert objects(made) == before
        assert messages.passed(logs := made.test(), messages.EXAMPLE_JOB)
        assert messages.failures(logs) == []


def test_an_installation_continues_after_a_restart_of_the_node(node: Away, demo: Demo) -> None:
    """The node stops while the Jobs and `prepare` of all parties run."""
    cluster = Demo(node.cluster.name, "", demo.kuscia_image)
    options = {"parties": parties.PARTIES, "presets": ("no-hooks",), "bare": True}
    with variant(cluster, node.images, "restart-early", **options) as made:
        for party in parties.PARTIES:
            made.install(party, wait=False)
        eventually(lambda: made.log("master", "prepare"), 120, "the master starts")
        node.cluster.restart()
        eventually(lambda: running(made), 2 * RECONNECT_SECONDS, "all parties are ready")
        complete(made)
        assert messages.failures(made.test()) == []
