"""The reference pages of all values: docs/values.md, and docs/values.zh-CN.md from a table of translations."""

from typing import Any

import yaml

from schema.rules import default, yaml_text
from schema.source import ROOT, Key, defaults, keys, read

TRANSLATIONS = ROOT / "schema" / "values.zh-CN.yaml"
ENGLISH = """# Values

[中文](values.zh-CN.md)

All values of the chart: `helm show values ./charts/kuscia` prints them with their defaults. In a key, `*` is any key of
a mapping and `[]` an entry of a list. Generated from `charts/kuscia/values.schema.yaml` by `make schema`.
"""
CHINESE = """# Values 参考

[English](values.md)

Chart 的所有值；`helm show values ./charts/kuscia` 会打印它们及默认值。键中的 `*` 表示映射的任意键，
`[]` 表示列表的一项。由 `make schema` 根据 `charts/kuscia/values.schema.yaml` 生成。
"""


def english() -> str:
    """Return docs/values.md."""
    return _page(ENGLISH, "| key | type | default | description |", {})


def chinese() -> str:
    """Return docs/values.zh-CN.md. Raises KeyError for a description without a translation."""
    return _page(CHINESE, "| 键 | 类型 | 默认值 | 说明 |", translations())


def translations() -> dict[str, str]:
    """Return the Chinese text of each description."""
    entries = yaml.load(TRANSLATIONS.read_text(), Loader=yaml.CSafeLoader)
    return {entry["en"]: entry["zh"] for entry in entries}


def descriptions() -> list[str]:
    """Return the description of each key, in the order of the page."""
    return [key.node["description"] for key in _described()]


def _described() -> list[Key]:
    return [key for key in keys(read()) if "description" in key.node]


def _page(intro: str, heading: str, translated: dict[str, str]) -> str:
    given = defaults()
    sections: dict[str, list[str]] = {}
    for key in _described():
        sections.setdefault(_section(key), []).append(_row(key, given, translated))
    tables = ("\n".join([f"## {name}", "", heading, "|---|---|---|---|", *rows, ""]) for name, rows in sections.items())
    return "\n".join([intro, *tables])


def _section(key: Key) -> str:
    """Return the block of values that a key is listed under: `master`, or `master.persistence` with its children."""
    parts = key.path.split(".")
    depth = 2 if parts[0] in ("global", "master", "lite") and ("properties" in key.node or len(parts) > 2) else 1
    return ".".join(parts[:depth]).removesuffix("[]")


def _row(key: Key, given: Any, translated: dict[str, str]) -> str:
    text = key.node["description"]
    text = translated[text] if translated else text
    types = key.node.get("type", [])
    types = [*([types] if isinstance(types, str) else types), *(["null"] if key.node.get("x-null") else [])]
    shown = ", ".join(types) or "any"
    value = default(given, key.path)
    is_leaf = not isinstance(value, dict) or not value
    cells = [f"`{key.path}`", shown, f"`{yaml_text(value)}`" if is_leaf and _is_short(value) else "", _escaped(text)]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _is_short(value: Any) -> bool:
    return value is not None and len(yaml_text(value)) <= 80


def _escaped(text: str) -> str:
    """Return a text for a cell of a table; Markdown reads `<` and `*` outside code as markup."""
    parts = text.split("`")
    return "`".join(
        part if index % 2 else part.replace("<", "&lt;").replace("*", "&#42;") for index, part in enumerate(parts)
    )
