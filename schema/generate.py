"""The files that are generated from values.schema.yaml."""

import json
from pathlib import Path
from typing import Any

import yaml

from schema.kubernetes import with_blocks

CHART = Path(__file__).resolve().parent.parent / "charts" / "kuscia"
SOURCE = CHART / "values.schema.yaml"


def generated() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    source = yaml.safe_load(SOURCE.read_text())
    return {CHART / "values.schema.json": json.dumps(with_blocks(for_helm(source)), indent=1) + "\n"}


def for_helm(node: Any) -> Any:
    """Return a part of the source without the keys x-*, which only this generator reads."""
    if isinstance(node, dict):
        return {key: for_helm(value) for key, value in node.items() if not key.startswith("x-")}
    if isinstance(node, list):
        return [for_helm(item) for item in node]
    return node
