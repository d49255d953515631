"""What `kubectl apply` applies with values/no-hooks.yaml."""

from tests.chart.render import Object, render
from tests.gitops.examples import NAMESPACES

# Values with which a party has objects that it does not have by default.
MORE: dict[str, Object] = {
    "kuscia-master": {
        "master": {
            "domains": {"carol": {"reader": {"namespace": "lite-carol", "serviceAccount": "kuscia-lite-carol"}}},
            "service": {"external": {"enabled": True}},
            "ingress": {"enabled": True, "className": "nginx", "host": "kuscia.example.com"},
            "pdb": {"enabled": True},
        }
    },
    "lite-alice": {
        "lite": {
            "service": {"external": {"enabled": True}},
            "ingress": {"enabled": True, "className": "nginx", "host": "alice.example.com"},
            "pdb": {"enabled": True},
        }
    },
}
# What pruning leaves: the state of the release, and what costs nothing.
KEPT = {"ConfigMap", "PersistentVolumeClaim", "Secret", "Deployment"}


def objects(namespace: str, values: Object) -> dict[tuple[str, str], Object]:
    """Return what `helm template --skip-tests` prints for a party without hooks."""
    rendered = render(values, NAMESPACES[namespace], "no-hooks", namespace=namespace)
    kept = [item for item in rendered if item["metadata"].get("annotations", {}).get("helm.sh/hook") != "test"]
    return {(item["kind"], item["metadata"]["name"]): item for item in kept}
