from kuscia_hooks.cluster.client import Kube
from kuscia_hooks.kuscia import engine_namespace
from kuscia_hooks.steps import keys, register, routes
from tests.hooks.builders import register_config, routes_config, run_step, secret_data
from tests.hooks.fakes.cluster import FakeCore

LABELS = {"app.kubernetes.io/managed-by": "kuscia-hooks", "kuscia-chart/release": "kuscia"}


def test_every_object_that_a_step_creates_has_its_labels_only(
    core: FakeCore, kube: Kube, endpoint: str, key_pem: bytes
) -> None:
    """A label of the chart's own objects would let Argo CD prune them."""
    core.put("services", "ns", "kuscia-master")
    core.put("secrets", "ns", "key", data=secret_data(**{"domain.key": key_pem}))
    given = set(core.objects)
    run_step(keys.attempt, keys.Settings("alice", "ns", "made-key", "made-cert", labels=LABELS), kube)
    run_step(register.attempt, register_config(endpoint).model_copy(update={"labels": LABELS}), kube)
    run_step(routes.attempt, routes_config(endpoint, labels=LABELS), kube)
    made = {name for _, _, name in core.objects.keys() - given}
    assert made == {"made-key", "made-cert", "tok-alice", "tok-bob", "ledger"}
    for key in core.objects.keys() - given:
        assert core.objects[key]["metadata"]["labels"] == LABELS


def test_the_marker_of_an_engine_namespace_is_not_tracked_as_an_object_of_the_chart() -> None:
    assert "app.kubernetes.io/instance" not in engine_namespace.MARKER_LABELS
