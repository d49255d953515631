"""The files that are generated from values.schema.yaml."""

import json
import subprocess
from pathlib import Path

from schema import kubernetes, pages
from schema.rules import rules, table
from schema.source import CHART, ROOT, Node, keys, read, resolve

GENERATED = "Generated from charts/kuscia/values.schema.yaml by `make schema`."


def generated() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    return {
        CHART / "values.schema.json": _json(),
        ROOT / "docs/values.md": pages.english(),
        ROOT / "docs/values.zh-CN.md": pages.chinese(),
        CHART / "charts/common/templates/_values.tpl": _template(),
        ROOT / "hooks/kuscia_hooks/core/config/value_rules.py": _python(),
    }


def _json() -> str:
    schema = read()
    types = {key.node["x-kubernetes"] for key in keys(schema) if "x-kubernetes" in key.node}
    found = {**_types(schema, schema), "definitions": kubernetes.definitions(types)}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def _types(schema: Node, node: Node, nullable: bool = False) -> Node:
    """Return a node as Helm checks it: types only, and descriptions for editors."""
    node = resolve(schema, node)
    found: Node = {key: node[key] for key in ("$schema", "title", "description", "examples", "maxItems") if key in node}
    if types := _json_types(node, nullable):
        found["type"] = types[0] if len(types) == 1 else types
    if "properties" in node:
        found["properties"] = {name: _types(schema, child) for name, child in node["properties"].items()}
    if isinstance(node.get("additionalProperties"), dict):
        # null removes an entry.
        found["additionalProperties"] = _types(schema, node["additionalProperties"], nullable=True)
    if "items" in node:
        found["items"] = _types(schema, node["items"])
    if "x-kubernetes" in node:
        block = kubernetes.pointer(node["x-kubernetes"])
        found |= {"items": block} if node["type"] == "array" else {"allOf": block["allOf"]}
    return found


def _json_types(node: Node, nullable: bool) -> list[str]:
    types = node.get("type", [])
    types = [types] if isinstance(types, str) else list(types)
    if types == ["string"] and any(key in node for key in ("x-id", "enum", "allOf")):
        # The chart reports numbers and booleans itself, with the other errors.
        types += ["number", "boolean"]
    return [*types, "null"] if types and (nullable or node.get("x-null")) else types


def _template() -> str:
    places = table()
    parts = [f"{{{{/* {GENERATED} The rules by name, and what is checked at each place in the values. */}}}}"]
    parts.append(_define("kuscia.valueRules", rules()))
    tables: dict[str, Node] = {"root": {}, "master": {}, "lite": {}}
    for place, checks in places.items():
        first = place.split(".")[0]
        if place == first:
            tables["root"][place] = checks
        tables[first if first in tables else "root"][place] = checks
    parts += [_define(f"kuscia.values.{name}", entries) for name, entries in tables.items()]
    return "\n\n".join(parts) + "\n"


def _define(name: str, entries: Node) -> str:
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry, ensure_ascii=False)}" for key, entry in entries.items())
    if "{{" in lines:
        raise ValueError(f"{name}: '{{{{' starts a template action")
    return f'{{{{- define "{name}" -}}}}\n{{\n{lines}\n}}\n{{{{- end -}}}}'


def _python() -> str:
    entries = [
        f"    {name!r}: ValueRule({rule['id']!r}, {rule['rule']!r}, {_limits(rule)}),"
        for name, rule in rules().items()
        if "pattern" in rule or "not" in rule
    ]
    text = f'''"""The rules of values that the steps share with the chart. {GENERATED}"""

from collections.abc import Mapping

from kuscia_hooks.core.config.value_rule import ValueRule

RULES: Mapping[str, ValueRule] = {{
{chr(10).join(entries)}
}}
'''
    command = ["ruff", "format", "--stdin-filename", "value_rules.py", "-"]
    return subprocess.run(command, input=text, text=True, capture_output=True, check=True, cwd=ROOT).stdout


def _limits(rule: Node) -> str:
    names = {"pattern": "pattern", "not": "excluded", "maxLength": "max_length"}
    return ", ".join(f"{name}={_for_python(rule[key])!r}" for key, name in names.items() if key in rule)


def _for_python(value: str | int) -> str | int:
    """Return a limit with the pattern's end as Python writes it; its `$` also matches before a line end."""
    return f"{value[:-1]}\\Z" if isinstance(value, str) and value.endswith("$") else value
