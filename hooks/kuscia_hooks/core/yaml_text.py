"""YAML that the programs in Go (Helm, Kuscia) and Python read alike."""

import re
from typing import Any

import yaml

YAMLError = yaml.YAMLError


class Block(str):
    """Text of several lines that is written line by line, such as a certificate."""


class _Loader(yaml.SafeLoader):
    """Reads plain scalars as YAML 1.2 does. YAML 1.1 has more types: `=`, `<<` and `0x_`, which Helm does not quote."""


class _Dumper(yaml.SafeDumper):
    """Also quotes text that Go reads as a number or a boolean, such as `1e3` and `y`."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"-?(0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]+)?", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""])
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+.0-9].*$", re.DOTALL), [*"-+.0123456789"])
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), [*"yYnN"])


def _block(dumper: yaml.SafeDumper, text: Block) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(Block, _block)


def read(text: str | bytes) -> Any:
    """Return the content of a YAML document. Raises YAMLError."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader


def write(data: Any) -> str:
    """Return data as a YAML document, in the order of its keys."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
