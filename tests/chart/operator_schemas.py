"""JSON schemas of the Prometheus Operator's kinds, so that kubeconform works offline.

`operator_definitions.json` is extracted from the custom resource definitions in the Go module of the operator:

    module=$(go env GOMODCACHE)/github.com/prometheus-operator/prometheus-operator@v0.85.0
    python -m tests.chart.operator_schemas "$module/example/prometheus-operator-crd"
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.chart import kubeconform
from tests.chart.k8s_schemas import strip

DEFINITIONS = Path(__file__).parent / "operator_definitions.json"
GROUP = "monitoring.coreos.com"
KINDS = ("PodMonitor", "PrometheusRule", "ServiceMonitor")


def cut(directory: Path) -> dict[str, Any]:
    """Return the schemas of the kinds by name.

    Args:
        directory: has a custom resource definition for each kind.
    """
    found = {}
    for kind in KINDS:
        crd = yaml.safe_load((directory / f"{GROUP}_{kind.lower()}s.yaml").read_text())
        (version,) = crd["spec"]["versions"]
        found[kind] = strip(version["schema"]["openAPIV3Schema"])
    return found


def custom_resource(kind: str) -> dict[str, Any]:
    """Return a definition of a kind for an API server. It rejects unknown fields, as the operator's own does."""
    plural = f"{kind.lower()}s"
    schema = structural(json.loads(DEFINITIONS.read_text())[kind])
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def structural(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in the form that custom resources require: every part has a type, or accepts anything."""
    found = {key: value for key, value in node.items() if key in ("type", "required", "enum")}
    if "properties" in node:
        found["properties"] = {name: structural(part) for name, part in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), dict):
        found["additionalProperties"] = structural(node["additionalProperties"])
    if "items" in node:
        found["items"] = structural(node["items"])
    return found if "type" in found else {"x-kubernetes-preserve-unknown-fields": True}


def write(directory: Path) -> str:
    """Write one schema for each kind, and return the -schema-location for kubeconform."""
    return kubeconform.write(directory, json.loads(DEFINITIONS.read_text()))


if __name__ == "__main__":
    DEFINITIONS.write_text(json.dumps(cut(Path(sys.argv[1])), sort_keys=True, separators=(",", ":")) + "\n")
