"""Read values.schema.yaml: the schema with its short forms written out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "kuscia"
SOURCE = CHART / "values.schema.yaml"

Node = dict[str, Any]


def read() -> Node:
    """Return the schema, with the properties of `x-extends` added, and `x-name` in each definition."""
    schema: Node = yaml.load(SOURCE.read_text(), Loader=yaml.CSafeLoader)
    for name, node in schema["$defs"].items():
        node["x-name"] = name
    for node in _nodes(schema):
        if "x-extends" in node:
            shared = schema["$defs"][node.pop("x-extends")]["properties"]
            node["properties"] = {**shared, **node["properties"]}
    for name in ("component", "jobs"):
        del schema["$defs"][name]
    return schema


def defaults() -> Any:
    """Return values.yaml."""
    return yaml.load((CHART / "values.yaml").read_text(), Loader=yaml.CSafeLoader)


def resolve(schema: Node, node: Node) -> Node:
    """Return a node with its `$ref` written out; keys next to `$ref` take precedence."""
    while "$ref" in node:
        target = schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


@dataclass(frozen=True)
class Key:
    """One place in the values.

    Args:
        path: dotted path; `*` is any key of a mapping, `[]` any entry of a list.
        node: its schema, resolved.
    """

    path: str
    node: Node


def keys(schema: Node) -> Iterator[Key]:
    """Yield every place in the values, parents first."""
    for name, node in schema["properties"].items():
        yield from _keys(schema, node, name)


def _keys(schema: Node, node: Node, path: str) -> Iterator[Key]:
    node = resolve(schema, node)
    yield Key(path, node)
    for name, child in node.get("properties", {}).items():
        yield from _keys(schema, child, f"{path}.{name}")
    if isinstance(node.get("additionalProperties"), dict):
        yield from _keys(schema, node["additionalProperties"], f"{path}.*")
    if "items" in node:
        yield from _keys(schema, node["items"], f"{path}[]")


def _nodes(node: Any) -> Iterator[Node]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for item in node:
            yield from _nodes(item)
