"""JSON schemas of the Kubernetes kinds that the chart renders, so that kubeconform works offline.

`k8s_definitions/` has one file for each Kubernetes version. They are extracted from the Go module k8s.io/kubernetes:

    go mod download k8s.io/kubernetes@v1.26.15 k8s.io/kubernetes@v1.30.14 k8s.io/kubernetes@v1.37.2
    python -m tests.chart.k8s_schemas "$(go env GOMODCACHE)"/k8s.io/kubernetes@v1.{26.15,30.14,37.2}
"""

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.chart import kubeconform

DEFINITIONS = Path(__file__).parent / "k8s_definitions"
VERSIONS = sorted(path.stem for path in DEFINITIONS.glob("*.json"))

KINDS = {
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "Deployment"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
}

# The published definitions allow one type where the API server accepts two.
_LOOSER = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}


def strip(node: Any) -> Any:
    """Remove keywords that do not validate, and reject unknown keys of objects with known keys."""
    if isinstance(node, list):
        return [strip(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: {name: strip(value) for name, value in item.items()} if key == "properties" else strip(item)
        for key, item in node.items()
        if key in ("type", "properties", "items", "additionalProperties", "required", "enum", "$ref")
    }
    if "properties" in kept:
        kept["additionalProperties"] = False
    return kept


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(_references, node)) if node else set()
    if not isinstance(node, dict):
        return set()
    found = {node["$ref"].removeprefix("#/definitions/")} if isinstance(node.get("$ref"), str) else set()
    return found.union(*(_references(value) for value in node.values()))


def _reached(roots: Iterable[str], definition: Callable[[str], Any]) -> dict[str, Any]:
    """Return the definitions of the roots and all that they refer to."""
    reached: dict[str, Any] = {}
    todo = set(roots)
    while todo:
        name = todo.pop()
        reached[name] = definition(name)
        todo |= _references(reached[name]) - reached.keys()
    return reached


def cut(swagger: dict[str, Any]) -> dict[str, Any]:
    """Extract the definitions of the kinds.

    Args:
        swagger: the OpenAPI document of Kubernetes.

    Returns:
        {"roots": {"apiVersion/Kind": name}, "definitions": all definitions that the roots refer to}.
    """
    roots = {}
    for name, definition in swagger["definitions"].items():
        for gvk in definition.get("x-kubernetes-group-version-kind", []):
            version = "/".join(part for part in (gvk["group"], gvk["version"]) if part)
            if (version, gvk["kind"]) in KINDS:
                roots[f"{version}/{gvk['kind']}"] = name
    definitions = _reached(roots.values(), lambda name: _LOOSER.get(name) or strip(swagger["definitions"][name]))
    return {"roots": roots, "definitions": definitions}


def write(directory: Path, version: str) -> str:
    """Write one schema for each kind of a Kubernetes version, and return the -schema-location for kubeconform."""
    data = json.loads((DEFINITIONS / f"{version}.json").read_text())
    schemas = {}
    for key, name in data["roots"].items():
        # kubeconform reads each file whole.
        definitions = _reached([name], data["definitions"].__getitem__)
        schemas[key.rpartition("/")[2]] = {"$ref": f"#/definitions/{name}", "definitions": definitions}
    return kubeconform.write(directory, schemas)


def _extract(module: Path) -> None:
    """Write the definitions of one version.

    Args:
        module: directory of the Go module, such as `kubernetes@v1.26.15`.
    """
    found = re.search(r"@v(\d+\.\d+)\.\d+$", module.name)
    if found is None:
        sys.exit(f"{module}: the name must end with a version, such as kubernetes@v1.26.15")
    result = cut(json.loads((module / "api/openapi-spec/swagger.json").read_text()))
    file = DEFINITIONS / f"{found[1]}.json"
    file.write_text(json.dumps(result, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        _extract(Path(argument))
