"""Values files: how they are written, merged and changed."""

import copy
import functools
import json
from typing import Any

import yaml

from tests.chart.render import CHART, PRESETS

Tree = Any
Path = tuple[str | int, ...]


class Plain(str):
    """A scalar that a values file has without quotes, such as `0x10`. YAML decides what it is."""

    __slots__ = ()


def dump(tree: Tree) -> str:
    """Return a tree as YAML: blocks, with every text in double quotes, and `Plain` as it is."""
    return "\n".join(_lines(tree)) + "\n"


def _lines(tree: Tree) -> list[str]:
    if isinstance(tree, dict) and tree:
        pairs = [(f"{_scalar(key)}:", value) for key, value in tree.items()]
    elif isinstance(tree, list) and tree:
        pairs = [("-", value) for value in tree]
    else:
        return [_scalar(tree)]
    lines = []
    for head, value in pairs:
        if isinstance(value, dict | list) and value:
            lines += [head, *(f"  {line}" for line in _lines(value))]
        else:
            lines.append(f"{head} {_scalar(value)}")
    return lines


def _scalar(value: Any) -> str:
    if isinstance(value, Plain):
        return str(value)
    if isinstance(value, str):
        # JSON is YAML, except for characters that YAML allows escaped only and JSON's pairs of surrogates.
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(
            char if char.isprintable() else f"\\U{ord(char):08x}" if ord(char) > 0xFFFF else f"\\u{ord(char):04x}"
            for char in quoted
        )
    return json.dumps(value)


def merge(base: Tree, over: Tree) -> Tree:
    """Return values as Helm merges files: mappings are merged, null removes a key, everything else replaces."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return copy.deepcopy(over)
    result = {key: value for key, value in base.items() if not (key in over and over[key] is None)}
    for key, value in over.items():
        if value is not None:
            result[key] = merge(base.get(key), value)
    return result


@functools.cache
def effective(presets: tuple[str, ...]) -> Tree:
    """Return the chart's defaults with presets merged into them. Do not change the result."""
    files = [CHART / "values.yaml", *(PRESETS / f"{name}.yaml" for name in presets)]
    return functools.reduce(merge, (yaml.safe_load(file.read_text()) or {} for file in files))


def put(tree: Tree, path: Path, value: Tree, current: Tree) -> None:
    """Set the value at a path of a values file.

    Args:
        current: the values that the file is merged into. A later file replaces a list as a whole, so the list is
            copied from here first.
    """
    if not path:
        raise ValueError("a values file is a mapping")
    head, *rest = path
    if isinstance(tree, list):
        assert isinstance(head, int)
        while len(tree) <= head:
            tree.append(None)
    if not rest:
        tree[head] = value
        return
    below = _get(current, head)
    inner: Tree = _get(tree, head)
    wanted = list if isinstance(rest[0], int) else dict
    if not isinstance(inner, wanted):
        known = isinstance(below, wanted) and (wanted is list or isinstance(tree, list))
        inner = copy.deepcopy(below) if known else wanted()
        tree[head] = inner
    put(inner, tuple(rest), value, below)


def _get(tree: Tree, key: str | int) -> Tree:
    if isinstance(tree, dict):
        return tree.get(key)
    if isinstance(tree, list) and isinstance(key, int) and key < len(tree):
        return tree[key]
    return None


def paths(tree: Tree, path: Path = ()) -> list[Path]:
    """Return the path of every value below a tree, outer ones first."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found: list[Path] = []
    for key, value in children:
        found += [(*path, key), *paths(value, (*path, key))]
    return found


def get(tree: Tree, path: Path) -> Tree:
    """Return the value at a path, None where there is none."""
    for key in path:
        tree = _get(tree, key)
    return tree


def without(tree: Tree, path: Path) -> Tree:
    """Return a copy of a tree without the value at a path."""
    result = copy.deepcopy(tree)
    parent = get(result, path[:-1])
    del parent[path[-1]]
    return result
