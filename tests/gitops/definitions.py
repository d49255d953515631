"""Custom resource definitions of Flux and Argo CD, so that their kinds can be checked offline.

`definitions.json` is extracted from the Go modules of the controllers, without descriptions:

    go mod download github.com/fluxcd/helm-controller@v1.6.3 github.com/fluxcd/source-controller@v1.9.1 \
        github.com/argoproj/argo-cd/v3@v3.5.7
    modules=$(go env GOMODCACHE)/github.com
    python -m tests.gitops.definitions "$modules/fluxcd/helm-controller@v1.6.3/config/crd/bases" \
        "$modules/fluxcd/source-controller@v1.9.1/config/crd/bases" \
        "$modules/argoproj/argo-cd/v3@v3.5.7/manifests/crds"
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.chart import kubeconform
from tests.chart.k8s_schemas import strip

FILE = Path(__file__).parent / "definitions.json"
KINDS = ("Application", "AppProject", "GitRepository", "HelmChart", "HelmRelease", "OCIRepository")

Definition = dict[str, Any]


def load() -> dict[str, Definition]:
    """Return the definitions by kind, in the form of an API server. Each has one version."""
    found: dict[str, Definition] = json.loads(FILE.read_text())
    return found


def write_schemas(directory: Path) -> str:
    """Write one JSON schema for each kind, and return the -schema-location for kubeconform."""
    schemas = {}
    for kind, definition in load().items():
        (version,) = definition["spec"]["versions"]
        schemas[kind] = strip(version["schema"]["openAPIV3Schema"])
    return kubeconform.write(directory, schemas)


def cut(definition: Definition) -> Definition:
    """Return a definition with the stored version only, and without descriptions and status."""
    spec = definition["spec"]
    (version,) = (item for item in spec["versions"] if item["storage"])
    schema = _without_descriptions(version["schema"]["openAPIV3Schema"])
    schema["properties"].pop("status", None)
    return {
        "apiVersion": definition["apiVersion"],
        "kind": definition["kind"],
        "metadata": {"name": definition["metadata"]["name"]},
        "spec": {
            "group": spec["group"],
            "names": spec["names"],
            "scope": spec["scope"],
            "versions": [
                {"name": version["name"], "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }


def _without_descriptions(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_descriptions(item) for item in node]
    if not isinstance(node, dict):
        return node
    # A property can have the name `description`; then its value is a schema.
    return {
        key: _without_descriptions(value)
        for key, value in node.items()
        if not (key == "description" and isinstance(value, str))
    }


def _extract(directories: list[Path]) -> None:
    found = {}
    for path in (path for directory in directories for path in sorted(directory.glob("*.yaml"))):
        definition = yaml.safe_load(path.read_text())
        if definition["kind"] == "CustomResourceDefinition" and definition["spec"]["names"]["kind"] in KINDS:
            found[definition["spec"]["names"]["kind"]] = cut(definition)
    if set(found) != set(KINDS):
        sys.exit(f"no definition of {', '.join(sorted(set(KINDS) - set(found)))}")
    FILE.write_text(json.dumps(found, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    _extract([Path(argument) for argument in sys.argv[1:]])
