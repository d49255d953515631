"""Configuration templates of AppImages: `{{.TASK_ID}}` is replaced by the variable's value (Kuscia facts 16.4).

`{{{.KEY.path[0]}}}` selects from a JSON value. Names that are not variables of the engine or its job are keys of the
node's configuration (/api/v1/config). Source: pkg/agent/middleware/plugins/hook/configrender/config_render.go.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from kuscia_sim.transport.gojson import encode, go_quote

_KEY = re.compile(r"\{\{?\{\.([^{}]+)\}\}?\}")
_PATH = re.compile(r"\{\{\{\.([^{}]+)\}\}?\}")
_BRACKETS = re.compile(r"\[(.*?)\]")
_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)")
_FIELD = re.compile(r"^(.+)\[(.+)\]$")
_WORD_OF_GO = re.compile(
    "if|else|end|range|break|continue|template|block|with|define|and|or|not|call|html|index|slice|js|len|print|printf|"
    "println|urlquery|eq|ne|lt|le|gt|ge|kuscia"
)


class TemplateError(ValueError):
    """Go rejects this template as well. The pod waits and the agent retries."""


class Unsupported(Exception):
    """A valid Go template that the stand-in cannot render; str() names it."""


def variables(*sources: Mapping[str, str]) -> dict[str, str]:
    """Merge maps into template variables in upper case; later maps win."""
    return {name.upper(): value for source in sources for name, value in source.items()}


def unknown_keys(template: str, values: Mapping[str, str]) -> set[str]:
    """Return the names in a template that are not variables."""
    return {match[1].split(".")[0] for match in _KEY.finditer(template)} - values.keys()


def render(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its variables filled in as in a JSON string; an unknown one is empty.

    Raises:
        TemplateError: the template is invalid.
        Unsupported: the stand-in cannot render it.
    """
    pieces, end = [], 0
    for match in _PATH.finditer(template):
        pieces += [_render(template[end : match.start()], values), _query(match[1], values)]
        end = match.end()
    return "".join([*pieces, _render(template[end:], values)])


def _render(template: str, values: Mapping[str, str]) -> str:
    def replace(match: "re.Match[str]") -> str:
        variable = _VARIABLE.fullmatch(match[1])
        if variable:
            return go_quote(values.get(variable[1], "")).strip('"')
        word = re.match(r"\w*", match[1])
        if word and word[0] and not _WORD_OF_GO.fullmatch(word[0]):
            raise TemplateError(f'failed to parse config template, detail-> function "{word[0]}" not defined')
        if not match[1]:
            raise TemplateError("failed to parse config template, detail-> missing value for command")
        raise Unsupported(
            f"the stand-in renders variables only, and the config template contains {match[0]!r}: run the job "
            "with Kuscia's own image"
        )

    rendered = _ACTION.sub(replace, template)
    if "{{" in _ACTION.sub("", template):
        raise TemplateError("failed to parse config template, detail-> unclosed action")
    return rendered


def _query(path: str, values: Mapping[str, str]) -> str:
    """Select a value as Kuscia's QueryByFields does (pkg/utils/common): values other than strings become JSON, missing
    ones the empty string.

    A dot within brackets does not separate fields: it becomes a #.
    """
    value: Any = {name: _structure(text) for name, text in values.items()}
    for field in _BRACKETS.sub(lambda match: match[0].replace(".", "#"), path).split("."):
        if value is None:
            return ""
        if not field:
            continue
        if "[" not in field:
            value = _member(value, field)
            continue
        parts = _FIELD.match(field)
        value = _element(_member(value, parts[1]), parts[2]) if parts else None
    return "" if value is None else value if isinstance(value, str) else encode(_sorted(value))


def _structure(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict | list) else text


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _element(items: Any, which: str) -> Any:
    if not isinstance(items, list):
        return None
    if "=" in which:
        key, _, wanted = which.partition("=")
        found = (item for item in items if _as_text(_member(item, key)) == wanted)
        return next(found, None)
    try:
        index = int(which)
    except ValueError:
        return None
    return items[index] if -len(items) < index < len(items) else None


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else encode(_sorted(value))


def _sorted(value: Any) -> Any:
    """Sort maps as Go writes them."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
