"""The Kubernetes API of the benchmark acts as the API server for what the steps call."""

import pytest

from bench.api_server import ApiServer, in_thread, kubeconfig, merge_patch
from kuscia_hooks.cluster.client import Conflict, Kube


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
    ],
)
def test_merges_patches(target: object, patch: object, result: object) -> None:
    assert merge_patch(target, patch) == result


def test_serves_what_a_step_writes() -> None:
    server = ApiServer()
    with in_thread(server) as url:
        kube = Kube.of_kubeconfig(kubeconfig(url, "ns"), "")
        assert kube.configmap("ns", "ledger") is None
        kube.create_configmap("ns", "ledger", {"routes": "{}"}, {})
        with pytest.raises(Conflict):
            kube.create_configmap("ns", "ledger", {}, {})
        kube.set_configmap("ns", "ledger", {"appImages": "{}"})
        assert kube.configmap("ns", "ledger") == {"routes": "{}", "appImages": "{}"}
    assert server.counts == {"get configmaps": 2, "create configmaps": 2, "patch configmaps": 1}
