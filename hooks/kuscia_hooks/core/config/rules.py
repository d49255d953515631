"""How validators report wrong values: an ID, the value's path and the rule it breaks.

A rule that the chart checks too has the chart's ID. Rules of single values come from the schema of the chart's values
(value_rules.py); the others are in charts/kuscia/charts/common/templates/_validate*.tpl.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import AfterValidator

from kuscia_hooks.core.config.value_rules import RULES
from kuscia_hooks.core.errors import Problem

HIDDEN = "(not shown)"
_MISSING = Problem("missing-value", "", "must be set")
_INVALID = Problem("invalid-config-value", "", "invalid value")
# Rules by the error type of pydantic, whose messages are not shown.
_RULES: Mapping[str, Callable[[Mapping[str, Any]], Problem]] = {
    "missing": lambda _: _MISSING,
    "string_too_short": lambda _: _MISSING,
    "union_tag_not_found": lambda context: Problem("missing-value", "", f"must set {context['discriminator']}"),
    "extra_forbidden": lambda _: Problem("unknown-config-file-key", "", "unknown key"),
    "literal_error": lambda context: _one_of(context["expected"]),
    "union_tag_invalid": lambda context: _one_of(context["expected_tags"]),
    "string_type": lambda _: Problem("wrong-type", "", "must be text"),
    "bool_type": lambda _: Problem("wrong-type", "", "must be true or false"),
    "bool_parsing": lambda _: Problem("wrong-type", "", "must be true or false"),
    "int_type": lambda _: Problem("wrong-type", "", "must be an integer"),
    "int_parsing": lambda _: Problem("wrong-type", "", "must be an integer"),
    "int_from_float": lambda _: Problem("wrong-type", "", "must be an integer"),
    "dict_type": lambda _: Problem("not-a-mapping", "", "must be a mapping"),
    "model_type": lambda _: Problem("not-a-mapping", "", "must be a mapping"),
    "model_attributes_type": lambda _: Problem("not-a-mapping", "", "must be a mapping"),
    "list_type": lambda _: Problem("not-a-list", "", "must be a list"),
    "tuple_type": lambda _: Problem("not-a-list", "", "must be a list"),
    "too_short": lambda context: Problem("missing-value", "", f"must have at least {context['min_length']} entries"),
    "too_long": lambda context: Problem(
        "number-out-of-range", "", f"must have at most {context['max_length']} entries"
    ),
    "greater_than": lambda context: _range(f"greater than {context['gt']}"),
    "greater_than_equal": lambda context: _range(f"at least {context['ge']}"),
    "less_than": lambda context: _range(f"less than {context['lt']}"),
    "less_than_equal": lambda context: _range(f"at most {context['le']}"),
}
# The query of a URL.
_QUERY = re.compile(r"\?[^\"]+")
# Parts of pydantic's locations that are not part of the path in the file.
_TAGS = {"sqlite", "mysql", "postgres", "oss", "localfs", "literal['all']", "[key]"}


class RuleError(ValueError):
    """A validator found wrong values. The paths of its problems are relative to what it validates."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.rule for problem in problems))
        self.problems = problems


def broken(rule_id: str, rule: str) -> RuleError:
    """Return the error of a validator whose value breaks one rule."""
    return RuleError(Problem(rule_id, "", rule))


def check_rule(name: str, value: str) -> str:
    """Return `value` if it matches a rule of value_rules.py. Raises RuleError otherwise."""
    rule = RULES[name]
    too_long = rule.max_length and len(value) > rule.max_length
    if too_long or not re.search(rule.pattern, value) or (rule.excluded and re.search(rule.excluded, value)):
        raise broken(rule.id, rule.rule)
    return value


def matching(*names: str) -> AfterValidator:
    """Return the validator of a text that must match rules of value_rules.py."""

    def validate(value: str) -> str:
        for name in names:
            check_rule(name, value)
        return value

    return AfterValidator(validate)


def shown(value: Any) -> str:
    """Return a value as it is shown in messages: scalars as JSON, at most 80 characters; "" for anything else.

    An address with a user, such as a URL or a DSN, may have a password before its `@`, so it is not shown; nor is the
    query of a URL.
    """
    if isinstance(value, Mapping | list):
        return ""
    if "@" in str(value):
        return HIDDEN
    text = json.dumps(value, ensure_ascii=False, default=str)
    if "://" in text:
        text = _QUERY.sub("?…", text)
    return text if len(text) <= 80 else f"{text[:77]}..."


def problems_of(item: Mapping[str, Any]) -> list[Problem]:
    """Return the wrong values that one error of pydantic stands for."""
    path, context = _path(item["loc"]), item.get("ctx") or {}
    error = context.get("error")
    if isinstance(error, RuleError):
        return [
            Problem(
                problem.id,
                _join(path, problem.path) or "(file)",
                problem.rule,
                problem.value or ("" if problem.path else shown(item["input"])),
            )
            for problem in error.problems
        ]
    rule = _RULES[item["type"]](context) if item["type"] in _RULES else _INVALID
    value = "" if item["type"] in ("missing", "extra_forbidden") else shown(item["input"])
    return [Problem(rule.id, path or "(file)", rule.rule, value)]


def _one_of(allowed: str) -> Problem:
    return Problem("unsupported-value", "", "must be one of " + allowed.replace("'", "").replace(" or ", ", "))


def _range(limit: str) -> Problem:
    return Problem("number-out-of-range", "", f"must be {limit}")


def _path(location: tuple[str | int, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _TAGS and not part.startswith(("list[", "function-")):
            path = _join(path, part)
    return path


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path and part else path or part
