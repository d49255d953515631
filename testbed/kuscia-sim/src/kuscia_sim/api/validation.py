"""Rules that handlers share: IDs, and the API server's errors for objects that break their CRD."""

import re
from collections.abc import Iterable

from kuscia_sim.jobs import quantity
from kuscia_sim.state.object_names import label_value, object_name
from kuscia_sim.state.store import Object
from kuscia_sim.transport.endpoints import ERR_VALIDATE, ApiError
from kuscia_sim.transport.gojson import go_quote

ID_PATTERN = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
HOST_PATTERN = (
    r"^$|^(?:(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)\.){3}(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)$"
    r"|^(([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]*[a-zA-Z0-9])\.)*"
    r"([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9\-]*[A-Za-z0-9])$"
)


def require(condition: object, text: str, code: int = ERR_VALIDATE) -> None:
    """Check a condition.

    Raises:
        ApiError: the condition is false; with the given code and text.
    """
    if not condition:
        raise ApiError(code, text)


def check_id(value: str, field: str, code: int = ERR_VALIDATE) -> None:
    """Check an ID (Kuscia facts 7.4).

    Raises:
        ApiError: the value is not a valid ID.
    """
    if not re.fullmatch(ID_PATTERN[1:-1], value, re.ASCII):
        raise ApiError(
            code,
            f'Field "{field}" is invalid, invalid value: {go_quote(value)}: '
            f'regex used for validation is "{ID_PATTERN}" ',
        )


def one_of(path: str, value: str, allowed: Iterable[str]) -> list[str]:
    """Return the CRD errors of an enum field."""
    names = list(allowed)
    if value in names:
        return []
    supported = ", ".join(f'"{name}"' for name in names)
    return [f"{path}: Unsupported value: {go_quote(value)}: supported values: {supported}"]


def in_range(path: str, value: int, low: int | None, high: int | None) -> list[str]:
    """Return the CRD errors of an integer field with bounds."""
    if low is not None and value < low:
        text = f"should be greater than or equal to {low}"
    elif high is not None and value > high:
        text = f"should be less than or equal to {high}"
    else:
        return []
    return [f"{path}: Invalid value: {value}: {path} in body {text}"]


def matches(path: str, value: str, pattern: str) -> list[str]:
    """Return the CRD errors of a string field with a pattern."""
    # Go's $ matches only the end of the text, Python's also before a final newline.
    python = pattern.replace("$|", r"\Z|")
    if python.endswith("$"):
        python = python.removesuffix("$") + r"\Z"
    if re.search(python, value, re.ASCII):
        return []
    return [f"{path}: Invalid value: {go_quote(value)}: {path} in body should match '{pattern}'"]


def domaingrant_errors(name: str, grant_domain: str) -> list[str]:
    """Return the API server's errors of a DomainDataGrant, which has its grantee as a label."""
    return object_name(name) + label_value(grant_domain)


def domaindata_errors(data: Object, name: str) -> list[str]:
    """Return the API server's errors of a DomainData, which has its type and vendor as labels."""
    errors = object_name(name)
    for value in data["metadata"]["labels"].values():
        errors += label_value(value)
    return errors


def quantity_error(value: str) -> str:
    """Return Kubernetes' error for a quantity, or ""."""
    try:
        quantity.parse(value)
    except ValueError as err:
        return str(err)
    return ""


def check_path(namespace: str | None, name: str, code: int) -> None:
    """Check what the API client itself rejects before it sends a request.

    Args:
        namespace: None for cluster-scoped kinds.
        name: name of the object.
        code: code of the error.

    Raises:
        ApiError: the path is invalid.
    """
    if namespace is not None:
        check_namespace(namespace, code)
    require(name, "resource name may not be empty", code)
    if errors := _path_errors(name):
        raise ApiError(code, f"invalid resource name {go_quote(name)}: [{' '.join(errors)}]")
    if namespace == "":
        raise ApiError(code, "an empty namespace may not be set when a resource name is provided")


def check_namespace(namespace: str, code: int) -> None:
    """Check what the API client itself rejects before it requests a list.

    Raises:
        ApiError: the namespace is invalid; with the given code.
    """
    if errors := _path_errors(namespace):
        raise ApiError(code, f"invalid namespace {go_quote(namespace)}: [{' '.join(errors)}]")


def _path_errors(value: str) -> list[str]:
    if value in (".", ".."):
        return [f"may not be '{value}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in value]
