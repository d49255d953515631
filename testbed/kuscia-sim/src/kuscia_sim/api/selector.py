"""Lists with a label selector, which Kuscia writes as `label=value` without escaping (Kuscia facts 7.4)."""

import re
from collections.abc import Mapping

from kuscia_sim.state.object_names import label_problems
from kuscia_sim.state.store import Object
from kuscia_sim.transport.endpoints import ApiError
from kuscia_sim.transport.gojson import go_quote

_TOKEN = re.compile(r"[=!(),><]|[^=!(),> \t\r\n<]+")


def select(items: list[Object], wanted: Mapping[str, str], code: int) -> list[Object]:
    """Return the items with these labels; an empty value matches everything.

    Raises:
        ApiError: a value is not a valid label value, with the text of apimachinery's labels.Parse (0.33).
    """
    for label, given in wanted.items():
        if given:
            value = _parse(label, given, code)
            items = [item for item in items if (item["metadata"].get("labels") or {}).get(label) == value]
    return items


def _parse(label: str, given: str, code: int) -> str:
    """Return the value as the API server reads it from the selector."""
    # Kuscia writes a field selector; in a label selector its backslashes have no meaning.
    tokens: list[str] = _TOKEN.findall(re.sub(r"([\\,=])", r"\\\1", given))
    if not tokens:
        return ""
    value, *more = tokens
    if value in "=!(),><":
        raise ApiError(code, f"unable to parse requirement: found '{value}', expected: identifier")
    if problems := label_problems(value):
        text = f"values[0][{label}]: Invalid value: {go_quote(value)}: {'; '.join(problems)}"
        raise ApiError(code, f"unable to parse requirement: {text}")
    if more:
        raise ApiError(code, f"found '{more[0]}', expected: ',' or 'end of string'")
    return value
