"""The rules of scalars, and what the chart checks at each place in the values."""

import functools
import json
from typing import Any

import yaml

from schema.source import Key, Node, defaults, keys, read, resolve


@functools.cache
def rules() -> dict[str, Node]:
    """Return the rules by name: {id, rule, …}; the other keys are what a value must match."""
    schema = read()
    nodes = [*schema["$defs"].values(), *(key.node for key in keys(schema))]
    return {_name(node): _rule(node) for node in nodes if _is_rule(node)}


@functools.cache
def table() -> dict[str, Node]:
    """Return what the chart checks at each place in the values, by path (see `Key`)."""
    schema, given = read(), defaults()
    return {key.path: _checks(schema, key, given) for key in keys(schema)}


def _checks(schema: Node, key: Key, given: Any) -> Node:
    node = key.node
    found: Node = {}
    if names := _rule_names(schema, node):
        found |= {"rules": names, "example": yaml_text(default(given, key.path) or _example(node))}
    if "propertyNames" in node:
        found["names"] = _rule_names(schema, node["propertyNames"])
        found["example"] = f"{_example(resolve(schema, node['propertyNames']))}: …"
    if "properties" in node and not node.get("additionalProperties"):
        found["closed"] = True
    options = {"required": "required", "x-at-most-one": "atMostOne", "x-empty": "empty", "x-non-empty": "nonEmpty"}
    found |= {name: node[option] for option, name in options.items() if node.get(option)}
    return found


def _rule_names(schema: Node, node: Node) -> list[str]:
    """Return the names of the rules of a node, in the order in which they are checked."""
    node = resolve(schema, node)
    shared = [name for part in node.get("allOf", ()) for name in _rule_names(schema, part)]
    return [*shared, _name(node)] if _is_rule(node) else shared


def _is_rule(node: Node) -> bool:
    """Return whether a node has a rule of its own, not only those of `allOf`."""
    return any(keyword in node for keyword in ("x-id", "enum", "minimum"))


def _name(node: Node) -> str:
    """Return the name of the definition of a rule, or what a rule without one accepts."""
    return str(node.get("x-name") or "|".join(node.get("enum", ())) or f">={node['minimum']}")


def _rule(node: Node) -> Node:
    found: Node = {key: node[key] for key in ("pattern", "maxLength", "minimum", "maximum") if key in node}
    found |= {key: node[f"x-{key}"] for key in ("id", "rule", "number", "hidden") if f"x-{key}" in node}
    if "enum" in node:
        values = "|".join(node["enum"])
        found = {
            "id": "unsupported-value",
            "rule": f"must be one of {values.replace('|', ', ')}",
            **found,
            "pattern": f"^({'?i:' if node.get('x-any-case') else ''}{values})$",
        }
    elif "not" in node:
        found["not"] = node["not"].get("pattern") or f"^({'|'.join(node['not']['enum'])})$"
    elif "minimum" in node:
        found = {"id": "number-out-of-range", "rule": f"must be {node['minimum']} or more", **found}
    return found


def _example(node: Node) -> Any:
    """Return the first example of a node, or of its values."""
    examples: list[Any] = node.get("examples") or node.get("enum") or [""]
    return examples[0]


def default(given: Any, path: str) -> Any:
    """Return the value at a path in values.yaml, None without one."""
    for part in path.split("."):
        given = given.get(part) if isinstance(given, dict) else None
    return given


def yaml_text(value: Any) -> str:
    """Return a value as it is written in a values file, on one line."""
    if isinstance(value, str):
        return value if _is_plain(value) else json.dumps(value, ensure_ascii=False)
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _is_plain(text: str) -> bool:
    try:
        return "\n" not in text and bool(yaml.safe_load(text) == text)
    except yaml.YAMLError:
        return False
