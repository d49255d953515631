"""Definitions of Kubernetes for the blocks that the chart passes on, such as `tolerations`, as JSON Schema draft 7.

The published definitions say which keys a block has and of which type. `kubernetes.yaml` adds what the API server
requires in addition. null is accepted wherever a key may be missing, because it removes a value of an earlier file.
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

Node = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = max(
    (ROOT / "tests" / "chart" / "k8s_definitions").glob("*.json"),
    key=lambda file: [int(part) for part in file.stem.split(".")],
)
REFINED = Path(__file__).with_name("kubernetes.yaml")

_POINTER = "#/definitions/"
_INTEGER = {"minimum": -(2**31), "maximum": 2**31 - 1}


def definitions(names: Iterable[str]) -> dict[str, Node]:
    """Return the definitions of some types, such as `Toleration`, and of all types that they refer to.

    Raises:
        KeyError: Kubernetes has no such type, or the refinements name one that it does not have.
    """
    published = {_short(name): node for name, node in json.loads(PUBLISHED.read_text())["definitions"].items()}
    refined = yaml.safe_load(REFINED.read_text())
    if unknown := refined["types"].keys() - published.keys():
        raise KeyError(f"{REFINED.name}: not in {PUBLISHED.name}: {', '.join(sorted(unknown))}")
    found: dict[str, Node] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in refined["others"]:
            found[name] = refined["others"][name]
        elif name not in found:
            found[name] = _Type(published[name], refined["types"].get(name, {}), refined["formats"]).schema()
            todo += _references(found[name])
    return dict(sorted(found.items()))


def pointer(name: str) -> Node:
    """Return the reference to a definition. It does not accept null."""
    return {"allOf": [{"$ref": _POINTER + name}], "type": "object"}


class _Type:
    def __init__(self, published: Node, refined: Node, formats: dict[str, Node]) -> None:
        self._published, self._formats = published, formats
        self._refined: Node = self._written_out(refined)
        self._required = {*published.get("required", ()), *self._refined.get("required", ())}

    def schema(self) -> Node:
        if "properties" not in self._published:
            return self._published
        refined = self._refined.get("properties", {})
        properties = {
            name: self._property(name, node, refined.get(name, {}))
            for name, node in self._published["properties"].items()
        }
        if unknown := refined.keys() - properties.keys():
            raise KeyError(f"{REFINED.name}: no such keys: {', '.join(sorted(unknown))}")
        rest = {key: value for key, value in self._refined.items() if key not in ("properties", "required")}
        required = {"required": sorted(self._required)} if self._required else {}
        return {"type": ["object", "null"], "additionalProperties": False, "properties": properties, **required, **rest}

    def _property(self, name: str, node: Node, refined: Node) -> Node:
        optional = name not in self._required
        found = self._value(node)
        for key, value in refined.items():
            found[key] = {**found[key], **value} if key in ("items", "additionalProperties") else value
        if "allOf" in found and optional and not refined:
            return {"$ref": found["allOf"][0]["$ref"]}
        if optional and "type" in found:
            kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
            found["type"] = [*kinds, "null"]
            if "enum" in found:
                found["enum"] = [*found["enum"], None]
            if "anyOf" in found:
                found["anyOf"] = [*found["anyOf"], {"type": "null"}]
        return found

    def _value(self, node: Node) -> Node:
        if "$ref" in node:
            name = _short(node["$ref"])
            if name == "Quantity":
                return {"type": ["string", "number"], **self._formats["quantity"], "minimum": 0}
            if name == "IntOrString":
                return {"type": ["string", "integer"], **_INTEGER}
            return pointer(name)
        if node.get("type") == "integer":
            return {**node, **_INTEGER}
        if node.get("type") == "array":
            return {"type": "array", "items": self._value(node["items"])}
        if isinstance(node.get("additionalProperties"), dict):
            value = self._value(node["additionalProperties"])
            kinds = value["type"] if isinstance(value["type"], list) else [value["type"]]
            return {"type": "object", "additionalProperties": {**value, "type": [*kinds, "null"]}}
        return dict(node)

    def _written_out(self, node: Any) -> Any:
        """Return refinements with the formats and short forms in them written out."""
        if isinstance(node, list):
            return [self._written_out(item) for item in node]
        if not isinstance(node, dict):
            return node
        found: Node = {}
        for key, value in node.items():
            if key in ("exactlyOne", "atLeastOne"):
                word = "oneOf" if key == "exactlyOne" else "anyOf"
                block = {"type": "object"}
                forms = [{**block, "required": [name], "properties": {name: block}} for name in value]
                found[word] = [*forms, {"type": "null"}]
            elif key == "atMostOne":
                pairs = itertools.combinations(value, 2)
                found["not"] = {"type": "object", "anyOf": [{"required": list(pair)} for pair in pairs]}
            elif key == "properties":
                found[key] = {name: self._written_out(self._format(part)) for name, part in value.items()}
            elif key == "not" and "pattern" in value:
                found[key] = {"type": "string", **value}
            elif key in ("items", "propertyNames", "additionalProperties"):
                found[key] = self._written_out(self._format(value))
            else:
                found[key] = self._written_out(value)
        return found

    def _format(self, node: Any) -> Any:
        return self._formats[node] if isinstance(node, str) else node


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"].removeprefix(_POINTER)] if isinstance(node.get("$ref"), str) else []
    return own + [name for value in node.values() for name in _references(value)]
