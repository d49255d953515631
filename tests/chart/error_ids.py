"""The chart's errors and warnings: the IDs that the templates can produce, and the errors of a failed rendering."""

import re
from dataclasses import dataclass

from schema.rules import rules
from tests.chart.render import CHART

# An ID is a literal in a template: `dict "id" "missing-value" …`, for warnings below `include "kuscia.warning"`.
_ID = r'dict "id" "([a-z0-9-]+)"'
_WARNING = r'"kuscia\.warning" \('
_ERROR = re.compile(
    r"^ *\d+\. \[(?P<id>[a-z0-9-]+)\] (?P<path>.+)\n"
    r" +value: +(?P<value>.*)\n"
    r" +rule: +(?P<rule>.+)\n"
    r" +example: +(?P<example>.+)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class ChartError:
    """One error as helm prints it."""

    id: str
    path: str
    value: str
    rule: str
    example: str


def parse_errors(text: str) -> list[ChartError]:
    """Return the errors in the output of a failed rendering, in order."""
    return [ChartError(**found.groupdict()) for found in _ERROR.finditer(text)]


def chart_warning_ids() -> set[str]:
    """Return the IDs of all warnings that NOTES can print."""
    return set(re.findall(_WARNING + _ID, _templates()))


def chart_error_ids() -> set[str]:
    """Return the IDs of all errors that the validation can report."""
    return set(re.findall(rf"(?<!{_WARNING}){_ID}", _templates())) | {rule["id"] for rule in rules().values()}


def _templates() -> str:
    return "\n".join(path.read_text() for path in sorted(CHART.rglob("templates/*")))
