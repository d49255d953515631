"""The AppImage's configuration templates: `{{.TASK_ID}}` becomes the variable's value (Kuscia facts 16.4)."""

import re
from collections.abc import Mapping

from kuscia_sim.gojson import go_quote

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_VARIABLE = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)")


class TemplateError(ValueError):
    """A template uses what is not a plain variable."""


def variables(*sources: Mapping[str, str]) -> dict[str, str]:
    """Template variables from maps, later ones win: names in capitals, values as in a JSON string."""
    return {name.upper(): go_quote(value).strip('"') for source in sources for name, value in source.items()}


def render(template: str, values: Mapping[str, str]) -> str:
    """The template with its variables filled in; an unknown one is empty. Raises TemplateError."""

    def replace(match: "re.Match[str]") -> str:
        variable = _VARIABLE.fullmatch(match[1])
        if variable is None:
            raise TemplateError(f"failed to parse config template, detail-> unsupported action {match[0]!r}")
        return values.get(variable[1], "")

    return _ACTION.sub(replace, template)
