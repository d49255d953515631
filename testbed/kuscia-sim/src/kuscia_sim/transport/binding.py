"""Bodies in XML, YAML, TOML, MessagePack and multipart/form-data, as gin 1.9 binds them (its binding package).

Upstream's messages are made for JSON and protobuf only. What these binders fill in are plain fields by the
names that Go makes of them; of most callers' bodies, which are JSON after all, they make an error.
"""

import email.parser
import email.policy
import re
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import yaml

from kuscia_sim.transport.protojson import DecodeError, Dict, Message, go_name, parse_form

_MULTIPART = "multipart/form-data"
_TOML_KEY = re.compile(r"""[A-Za-z0-9_\-"']""")


def bind(content_type: str, header: str, body: bytes, type_: Message) -> Dict | None:
    """The message; None for a content type that gin takes for a form. header: the whole Content-Type.

    Raises DecodeError.
    """
    if content_type == _MULTIPART:
        return parse_form(_multipart(header, body), type_)
    reader = _READERS.get(content_type)
    return None if reader is None else parse_form(reader(body, type_), type_)


def _xml(body: bytes, _type: Message) -> dict[str, str]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise DecodeError("XML syntax error on line 1: invalid UTF-8") from None
    if "<" not in text:
        raise DecodeError("EOF")
    try:
        root = ET.fromstring(text)
    except ET.ParseError as err:
        raise DecodeError(f"XML syntax error on line {err.position[0]}: unexpected EOF") from None
    return {child.tag: child.text or "" for child in root}


def _yaml(body: bytes, type_: Message) -> dict[str, str]:
    """yaml.v3 knows a field by its Go name in lower case."""
    try:
        found = yaml.load(body, yaml.BaseLoader)
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 1
        raise DecodeError(f"yaml: line {line}: {err.problem}") from None
    except RecursionError:
        raise DecodeError("yaml: exceeded max depth of 10000") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise DecodeError("yaml: invalid leading UTF-8 octet") from None
    if found is None:
        raise DecodeError("EOF")
    if found in ("null", "~", ""):
        return {}
    if not isinstance(found, dict):
        kind = "!!seq" if isinstance(found, list) else f"!!str `{_shortened(found)}`"
        into = f"{type_.package}.{type_.go}"
        raise DecodeError(f"yaml: unmarshal errors:\n  line 1: cannot unmarshal {kind} into {into}")
    return {go: found[go.lower()] for go in map(go_name, type_.fields) if isinstance(found.get(go.lower()), str)}


def _shortened(text: str) -> str:
    return text if len(text) <= 10 else f"{text[:7]}..."


def _toml(body: bytes, type_: Message) -> dict[str, str]:
    """go-toml knows a field by its Go name in any case."""
    text = body.decode(errors="replace")
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except RecursionError:
        raise DecodeError("toml: exceeded max depth") from None
    except tomllib.TOMLDecodeError:
        first = text.lstrip()[:1]
        if first == "[":
            first = text.lstrip()[1:2]
        if not _TOML_KEY.match(first):
            raise DecodeError(f"toml: invalid character at start of key: {first}") from None
        raise DecodeError("toml: expected character =") from None
    lower = {key.lower(): value for key, value in found.items()}
    return {go: str(lower[go.lower()]) for go in map(go_name, type_.fields) if go.lower() in lower}


def _msgpack(body: bytes, _type: Message) -> dict[str, str]:
    """A body that does begin as a map or an array is refused, too: nobody sends one, and the image has no reader."""
    if not body:
        raise DecodeError("EOF")
    if body[:1] == b"\xc0":
        return {}
    raise DecodeError("msgpack decode error [pos 1]: only encoded map or array can decode into struct")


def _multipart(header: str, body: bytes) -> dict[str, str]:
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        b"Content-Type: " + header.encode("latin-1", "replace") + b"\r\n\r\n" + body
    )
    boundary = message.get_boundary()
    if not boundary:
        raise DecodeError("no multipart boundary param in Content-Type")
    if not re.search(rb"(?m)^--" + re.escape(boundary.encode()), body):
        raise DecodeError("multipart: NextPart: EOF")
    form = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and part.get_filename() is None:
            content = part.get_payload(decode=True)
            form[name] = content.decode(errors="replace") if isinstance(content, bytes) else ""
    return form


_READERS: dict[str, Callable[[bytes, Message], dict[str, str]]] = {
    "application/xml": _xml,
    "text/xml": _xml,
    "application/x-yaml": _yaml,
    "application/toml": _toml,
    "application/x-msgpack": _msgpack,
    "application/msgpack": _msgpack,
}
