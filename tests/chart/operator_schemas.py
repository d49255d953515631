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

from tests.chart.k8s_schemas import strip

DEFINITIONS = Path(__file__).parent / "operator_definitions.json"
KINDS = ("PodMonitor", "PrometheusRule", "ServiceMonitor")


def cut(directory: Path) -> dict[str, Any]:
    """Return the schemas of the kinds by name.

    Args:
        directory: has a custom resource definition for each kind.
    """
    found = {}
    for kind in KINDS:
        crd = yaml.safe_load((directory / f"monitoring.coreos.com_{kind.lower()}s.yaml").read_text())
        (version,) = crd["spec"]["versions"]
        found[kind] = strip(version["schema"]["openAPIV3Schema"])
    return found


def write(directory: Path) -> None:
    """Write one schema for each kind, under the name that `k8s_schemas.write` uses."""
    for kind, schema in json.loads(DEFINITIONS.read_text()).items():
        (directory / f"{kind.lower()}.json").write_text(json.dumps(schema))


if __name__ == "__main__":
    DEFINITIONS.write_text(json.dumps(cut(Path(sys.argv[1])), sort_keys=True, separators=(",", ":")) + "\n")
