"""The API server's errors for invalid names and labels (apimachinery's pkg/util/validation, 1.33)."""

import re

from kuscia_sim.state.store import Invalid
from kuscia_sim.transport.gojson import go_quote

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
_SERVICE = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SERVICE_ERROR = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
MAX_LABEL = 63
MAX_NAME = 253
CORE_KINDS = ("ConfigMap", "Pod", "Service")


def too_long(length: int) -> str:
    """Return the text of Kubernetes 1.33 for names that are too long (it counts bytes)."""
    return f"must be no more than {length} characters"


def label_key(prefix: str, name: str) -> list[str]:
    """Return the API server's errors of the label `prefix/name` with a valid prefix (IsQualifiedName)."""
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
    """Return the API server's errors of a ConfigMap key (IsConfigMapKey)."""
    errors = [too_long(MAX_NAME)] if len(key.encode()) > MAX_NAME else []
    if not _CONFIG_KEY.fullmatch(key):
        errors.append(_CONFIG_KEY_ERROR)
    if key in (".", ".."):
        errors.append(f"must not be '{key}'")
    elif key.startswith(".."):
        errors.append("must not start with '..'")
    return [f"data[{key}]: Invalid value: {go_quote(key)}: {error}" for error in errors]


def label_value(value: str) -> list[str]:
    """Return the API server's errors of a label value."""
    return [f"metadata.labels: Invalid value: {go_quote(value)}: {problem}" for problem in label_problems(value)]


def label_problems(value: str) -> list[str]:
    """Return why a text is not a label value (IsValidLabelValue)."""
    problems = [too_long(MAX_LABEL)] if len(value.encode()) > MAX_LABEL else []
    return problems if _LABEL.fullmatch(value) else [*problems, _LABEL_ERROR]


def object_name(value: str) -> list[str]:
    """Return the API server's errors of metadata.name."""
    errors = []
    if len(value.encode()) > MAX_NAME:
        errors.append(f"metadata.name: Invalid value: {go_quote(value)}: {too_long(MAX_NAME)}")
    if not _SUBDOMAIN.fullmatch(value):
        errors.append(f"metadata.name: Invalid value: {go_quote(value)}: {_SUBDOMAIN_ERROR}")
    return errors


def service_name(value: str) -> list[str]:
    """Return the API server's errors of a Service name, of at most 63 characters (IsDNS1035Label)."""
    if _SERVICE.fullmatch(value):
        return []
    return [f"metadata.name: Invalid value: {go_quote(value)}: {_SERVICE_ERROR}"]


def refuse_invalid(kind: str, name: str, errors: list[str]) -> None:
    """Reject an object with errors; kind is one of CORE_KINDS or of Kuscia's.

    Raises:
        Invalid: there are errors, with the API server's text.
    """
    if not errors:
        return
    text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
    group = "" if kind in CORE_KINDS else ".kuscia.secretflow"
    raise Invalid(f'{kind}{group} "{name}" is invalid: {text}')
