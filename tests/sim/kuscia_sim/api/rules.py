"""Rules shared by the handlers: IDs, labels, and the API server's words on objects that break their CRD."""

import re
from collections.abc import Iterable

from kuscia_sim.gojson import go_quote
from kuscia_sim.jobs import quantity
from kuscia_sim.store import Invalid, Object
from kuscia_sim.wire import ERR_VALIDATE, ApiError

ID_PATTERN = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
HOST_PATTERN = (
    r"^$|^(?:(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)\.){3}(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)$"
    r"|^(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])\.)*"
    r"([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9\-]*[A-Za-z0-9])$"
)
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", re.ASCII)
_LABEL_ERROR = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
_CONFIG_KEY_ERROR = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_NAME_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_NAME_PART_ERROR = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_SUBDOMAIN_ERROR = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
MAX_LABEL = 63
MAX_NAME = 253


def require(condition: object, text: str, code: int = ERR_VALIDATE) -> None:
    """Raises ApiError(code, text) unless the condition holds."""
    if not condition:
        raise ApiError(code, text)


def check_id(value: str, field: str, code: int = ERR_VALIDATE) -> None:
    """Raises ApiError when `value` is not an ID (facts 7.4)."""
    if not re.fullmatch(ID_PATTERN[1:-1], value, re.ASCII):
        raise ApiError(
            code,
            f'Field "{field}" is invalid, invalid value: {go_quote(value)}: '
            f'regex used for validation is "{ID_PATTERN}" ',
        )


def one_of(path: str, value: str, allowed: Iterable[str]) -> list[str]:
    """The CRD error of an enum field."""
    names = list(allowed)
    if value in names:
        return []
    supported = ", ".join(f'"{name}"' for name in names)
    return [f"{path}: Unsupported value: {go_quote(value)}: supported values: {supported}"]


def in_range(path: str, value: int, low: int | None, high: int | None) -> list[str]:
    """The CRD error of an integer field with bounds."""
    if low is not None and value < low:
        text = f"should be greater than or equal to {low}"
    elif high is not None and value > high:
        text = f"should be less than or equal to {high}"
    else:
        return []
    return [f"{path}: Invalid value: {value}: {path} in body {text}"]


def matches(path: str, value: str, pattern: str) -> list[str]:
    """The CRD error of a string field with a pattern."""
    # Go's $ is the end of the text, Python's may come before a last newline.
    python = pattern.replace("$|", r"\Z|")
    if python.endswith("$"):
        python = python.removesuffix("$") + r"\Z"
    if re.search(python, value, re.ASCII):
        return []
    return [f"{path}: Invalid value: {go_quote(value)}: {path} in body should match '{pattern}'"]


def too_long(length: int) -> str:
    """Kubernetes 1.33's words (apimachinery's pkg/util/validation); it counts bytes all the same."""
    return f"must be no more than {length} characters"


def label_key(prefix: str, name: str) -> list[str]:
    """The API server's errors of the label `prefix/name`, whose prefix is right (IsQualifiedName)."""
    key = f"{prefix}/{name}"
    if "/" in name:
        errors = [
            f"a qualified name {_NAME_PART_ERROR} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        ]
    else:
        errors = ["name part must be non-empty"] if not name else []
        if len(name.encode()) > MAX_LABEL:
            errors.append(f"name part {too_long(MAX_LABEL)}")
        if not _NAME_PART.fullmatch(name):
            errors.append(f"name part {_NAME_PART_ERROR}")
    return [f"metadata.labels: Invalid value: {go_quote(key)}: {error}" for error in errors]


def configmap_key(key: str) -> list[str]:
    """The API server's errors of a key of a ConfigMap (IsConfigMapKey)."""
    errors = [too_long(MAX_NAME)] if len(key.encode()) > MAX_NAME else []
    if not _CONFIG_KEY.fullmatch(key):
        errors.append(_CONFIG_KEY_ERROR)
    if key in (".", ".."):
        errors.append(f"must not be '{key}'")
    elif key.startswith(".."):
        errors.append("must not start with '..'")
    return [f"data[{key}]: Invalid value: {go_quote(key)}: {error}" for error in errors]


def label_value(value: str) -> list[str]:
    """The API server's errors of one label value."""
    return [f"metadata.labels: Invalid value: {go_quote(value)}: {problem}" for problem in label_problems(value)]


def label_problems(value: str) -> list[str]:
    """Why this is no label value (IsValidLabelValue)."""
    problems = [too_long(MAX_LABEL)] if len(value.encode()) > MAX_LABEL else []
    return problems if _LABEL.fullmatch(value) else [*problems, _LABEL_ERROR]


def object_name(value: str) -> list[str]:
    """The API server's errors of metadata.name."""
    errors = []
    if len(value.encode()) > MAX_NAME:
        errors.append(f"metadata.name: Invalid value: {go_quote(value)}: {too_long(MAX_NAME)}")
    if not _SUBDOMAIN.fullmatch(value):
        errors.append(f"metadata.name: Invalid value: {go_quote(value)}: {_SUBDOMAIN_ERROR}")
    return errors


def domaingrant_errors(name: str, grant_domain: str) -> list[str]:
    """The API server's errors of a DomainDataGrant, which has its grantee as a label."""
    return object_name(name) + label_value(grant_domain)


def domaindata_errors(data: Object, name: str) -> list[str]:
    """The API server's errors of a DomainData, which has its type and vendor as labels."""
    errors = object_name(name)
    for value in data["metadata"]["labels"].values():
        errors += label_value(value)
    return errors


def refuse_invalid(kind: str, name: str, errors: list[str]) -> None:
    """Raises Invalid with the API server's words when there are errors; kind is "ConfigMap" or one of Kuscia's."""
    if not errors:
        return
    text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
    group = "" if kind == "ConfigMap" else ".kuscia.secretflow"
    raise Invalid(f'{kind}{group} "{name}" is invalid: {text}')


def quantity_error(value: str) -> str:
    """Kubernetes' words for what is wrong with a quantity, "" for nothing."""
    try:
        quantity.parse(value)
    except ValueError as err:
        return str(err)
    return ""


def check_path(namespace: str | None, name: str, code: int) -> None:
    """What the API client itself refuses before it asks; namespace None for cluster-scoped kinds.

    Raises ApiError(code).
    """
    if namespace is not None:
        check_namespace(namespace, code)
    require(name, "resource name may not be empty", code)
    if errors := _path_errors(name):
        raise ApiError(code, f"invalid resource name {go_quote(name)}: [{' '.join(errors)}]")
    if namespace == "":
        raise ApiError(code, "an empty namespace may not be set when a resource name is provided")


def check_namespace(namespace: str, code: int) -> None:
    """What the API client itself refuses before it asks for a list. Raises ApiError(code)."""
    if errors := _path_errors(namespace):
        raise ApiError(code, f"invalid namespace {go_quote(namespace)}: [{' '.join(errors)}]")


def _path_errors(value: str) -> list[str]:
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]
