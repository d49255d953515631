"""Protobuf messages as JSON, as a Go server with protojson and encoding/json handles them.

Messages are declared once (`message`, `repeated`, `mapping`, `optional`). `parse` converts a request body into a dict
with every field (missing: "", 0, False, [], {}, None for messages and optional fields). `render` converts a dict into
the JSON of an answer with every field in declared order (Kuscia facts 7.1).
"""

import dataclasses
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from kuscia_sim.transport.gojson import JSONSyntaxError, Number, Pairs, decode_first, decode_whole, go_quote

Dict = dict[str, Any]
_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)$")


class DecodeError(ValueError):
    """The body is not the message; str() is the server's text."""


class NilPointer(Exception):
    """A nil message was dereferenced."""


class NilMessage(Dict):
    """A `null` in a list of messages, which encoding/json leaves as a nil pointer: reading a field panics."""

    def __getitem__(self, key: str) -> Any:
        raise NilPointer


class GivenMap(Dict):
    """A map in the body, even if empty; a missing one is a plain dict."""


class _Refused(Exception):
    """protojson rejects the body; encoding/json is tried next."""


@dataclasses.dataclass(frozen=True)
class Scalar:
    """A proto scalar; `go` is the name of its Go type and `zero` its default."""

    go: str
    zero: Any


STR = Scalar("string", "")
BOOL = Scalar("bool", False)
INT32 = Scalar("int32", 0)
INT64 = Scalar("int64", 0)
UINT64 = Scalar("uint64", 0)
FLOAT = Scalar("float32", 0)
ANY = Scalar("any", None)
"""A google.protobuf.Any given as its finished JSON object; only in answers."""


@dataclasses.dataclass(frozen=True)
class Enum:
    """A proto enum: the name of its Go type and the value names by number."""

    go: str
    names: tuple[str, ...]

    @property
    def zero(self) -> str:
        return self.names[0]


@dataclasses.dataclass(frozen=True)
class Message:
    """A proto message; `go` is the name of its Go type, `package` the Go package."""

    go: str
    package: str
    fields: Mapping[str, "Field"]

    def defaults(self) -> Dict:
        return {name: field.default() for name, field in self.fields.items()}


Type = Scalar | Enum | Message


@dataclasses.dataclass(frozen=True)
class Field:
    """A field of a message. kind: "one", "optional" (presence is kept), "repeated", "map" (string keys)."""

    type: Type
    kind: str = "one"

    def default(self) -> Any:
        if self.kind == "repeated":
            return []
        if self.kind == "map":
            return {}
        if self.kind == "optional" or isinstance(self.type, Message):
            return None
        return self.type.zero

    @property
    def go(self) -> str:
        """Return the Go type that encoding/json names in an error about the whole field."""
        if isinstance(self.type, Message):
            element = f"{self.type.package}.{self.type.go}"
            return f"[]*{element}" if self.kind == "repeated" else element
        if self.kind == "repeated":
            return f"[]{self.type.go}"
        return f"map[string]{self.type.go}" if self.kind == "map" else self.type.go


def message(name: str, package: str = "kusciaapi", /, **fields: Type | Field) -> Message:
    """Declare a message; keyword order is the order of fields in the .proto file."""
    return Message(name, package, {k: f if isinstance(f, Field) else Field(f) for k, f in fields.items()})


def repeated(type_: Type) -> Field:
    return Field(type_, "repeated")


def mapping(type_: Scalar = STR) -> Field:
    return Field(type_, "map")


def optional(type_: Type) -> Field:
    return Field(type_, "optional")


def json_name(name: str) -> str:
    """Return the lowerCamelCase of a proto field name: underscores are dropped, the next letter becomes upper case."""
    return re.sub(r"_+(.)?", lambda m: (m[1] or "").upper(), name)


def go_name(name: str) -> str:
    """Return the exported Go name of a proto field (domain_id -> DomainId)."""
    camel = re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), name)
    return camel[:1].upper() + camel[1:]


def parse(body: bytes, type_: Message) -> Dict:
    """Parse a request body.

    protojson first (both spellings of names, unknown fields ignored, numbers may be strings). What it rejects is parsed
    again by encoding/json (proto names only, unknown fields are errors, null is ignored, only the first JSON value
    counts), whose error the client sees.

    Raises:
        DecodeError: both reject the body.
    """
    try:
        value, complete = decode_first(body)
    except JSONSyntaxError as err:
        raise DecodeError(str(err)) from None
    if complete:
        try:
            return _proto_message(value, type_)
        except _Refused:
            pass
    return _GoDecoder(type_, strict=True).decode(value)


def parse_go(body: bytes, type_: Message) -> Dict:
    """Parse a request body with encoding/json only; unknown fields are ignored.

    Raises:
        DecodeError: the body is invalid.
    """
    try:
        value, _ = decode_first(body)
    except JSONSyntaxError as err:
        raise DecodeError(str(err)) from None
    return _GoDecoder(type_, strict=False).decode(value)


def unmarshal_go(text: str | bytes, type_: Message) -> Dict:
    """Parse a whole text with json.Unmarshal; unknown fields are ignored.

    Raises:
        DecodeError: the text is invalid.
    """
    try:
        value = decode_whole(text.encode() if isinstance(text, str) else text)
    except JSONSyntaxError as err:
        raise DecodeError(str(err)) from None
    return _GoDecoder(type_, strict=False).decode(value)


def parse_form(form: Mapping[str, str], type_: Message) -> Dict:
    """Parse a form: Go's binder uses the exported Go names of plain fields only, so JSON text is lost.

    Raises:
        DecodeError: a value has the wrong type.
    """
    result = type_.defaults()
    for name, field in type_.fields.items():
        text = form.get(go_name(name))
        if text is None or field.kind not in ("one", "optional") or not isinstance(field.type, Scalar):
            continue
        if field.type is STR:
            result[name] = text
        elif field.type is BOOL:
            if text not in (
                "",
                "1",
                "t",
                "T",
                "TRUE",
                "true",
                "True",
                "0",
                "f",
                "F",
                "FALSE",
                "false",
                "False",
            ):
                raise DecodeError(f'strconv.ParseBool: parsing "{text}": invalid syntax')
            result[name] = text in ("1", "t", "T", "TRUE", "true", "True")
        else:
            try:
                result[name] = int(text or "0")
            except ValueError:
                raise DecodeError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    return result


def _proto_message(value: Any, type_: Message) -> Dict:
    if not isinstance(value, Pairs):
        raise _Refused
    result = type_.defaults()
    names = {json_name(n): n for n in type_.fields} | {n: n for n in type_.fields}
    seen: set[str] = set()
    for key, item in value:
        name = names.get(key)
        if name is None:
            continue
        if name in seen:
            raise _Refused
        seen.add(name)
        if item is not None:
            result[name] = _proto_field(item, type_.fields[name])
    return result


def _proto_field(value: Any, field: Field) -> Any:
    if field.kind == "repeated":
        if not isinstance(value, list) or isinstance(value, Pairs):
            raise _Refused
        return [_proto_single(item, field.type) for item in value]
    if field.kind == "map":
        if not isinstance(value, Pairs) or len({key for key, _ in value}) != len(value):
            raise _Refused
        return GivenMap((key, _proto_single(item, field.type)) for key, item in value)
    return _proto_single(value, field.type)


def _proto_single(value: Any, type_: Type) -> Any:
    if isinstance(type_, Message):
        return _proto_message(value, type_)
    if isinstance(type_, Enum):
        if isinstance(value, Number):
            return _enum_name(type_, _proto_int(value, "int32"))
        if isinstance(value, str):
            return value if value in type_.names else type_.zero
        raise _Refused
    if type_ is STR:
        if not isinstance(value, str) or isinstance(value, Number):
            raise _Refused
        return str(value)
    if type_ is BOOL:
        if not isinstance(value, bool):
            raise _Refused
        return value
    if type_ is FLOAT:
        if isinstance(value, bool) or not isinstance(value, str):
            raise _Refused
        try:
            return float(value)
        except ValueError:
            raise _Refused from None
    return _proto_int(value, type_.go)


def _proto_int(value: Any, go: str) -> int:
    if not isinstance(value, str) or value != value.strip() or not re.match(r"-?[0-9.]", value):
        raise _Refused
    try:
        number = Decimal(value)
    except ArithmeticError:
        raise _Refused from None
    low, high = _RANGES[go]
    if not number.is_finite() or number.adjusted() > 20 or number != number.to_integral_value():
        raise _Refused
    if not low <= number <= high:
        raise _Refused
    return int(number)


def _enum_name(type_: Enum, number: int) -> Any:
    return type_.names[number] if 0 <= number < len(type_.names) else number


class _GoDecoder:
    """Decodes as encoding/json does: visits the whole value and reports the first error.

    strict: with DisallowUnknownFields.
    """

    def __init__(self, type_: Message, strict: bool) -> None:
        self.type = type_
        self.strict = strict
        self.error: str | None = None

    def decode(self, value: Any) -> Dict:
        result = self.type.defaults()
        if value is not None:
            if isinstance(value, Pairs):
                result = self.message(value, self.type, ())
            else:
                self.mismatch(value, f"{self.type.package}.{self.type.go}", None, ())
        if self.error is not None:
            raise DecodeError(self.error)
        return result

    def mismatch(self, value: Any, go: str, owner: Message | None, path: tuple[str, ...]) -> None:
        kind = _go_kind(value)
        if isinstance(value, Number) and go in _RANGES:
            kind = f"number {value}"
        where = f"Go struct field {owner.go}.{'.'.join(path)}" if owner else "Go value"
        self.error = self.error or f"json: cannot unmarshal {kind} into {where} of type {go}"

    def message(self, value: Pairs, type_: Message, path: tuple[str, ...]) -> Dict:
        result = type_.defaults()
        folded = {name.lower(): name for name in type_.fields}
        for key, item in value:
            name = key if key in type_.fields else folded.get(key.lower())
            if name is None:
                if not self.strict:
                    continue
                self.error = self.error or f"json: unknown field {go_quote(key)}"
            elif item is not None:
                result[name] = self.field(item, type_.fields[name], type_, (*path, name))
            elif type_.fields[name].kind != "one" or isinstance(type_.fields[name].type, Message):
                result[name] = type_.fields[name].default()
        return result

    def field(self, value: Any, field: Field, owner: Message, path: tuple[str, ...]) -> Any:
        if field.kind == "repeated":
            if not isinstance(value, list) or isinstance(value, Pairs):
                self.mismatch(value, field.go, owner, path)
                return []
            items = [self.single(item, field.type, owner, path) for item in value]
            return [NilMessage() if item is None else item for item in items]
        if field.kind == "map":
            if not isinstance(value, Pairs):
                self.mismatch(value, field.go, owner, path)
                return {}
            return GivenMap((key, self.single(item, field.type, owner, path)) for key, item in value)
        return self.single(value, field.type, owner, path)

    def single(self, value: Any, type_: Type, owner: Message, path: tuple[str, ...]) -> Any:
        if isinstance(type_, Message):
            if isinstance(value, Pairs):
                return self.message(value, type_, path)
            if value is not None:
                self.mismatch(value, f"{type_.package}.{type_.go}", owner, path)
            return None
        if value is None:
            return type_.zero
        if isinstance(type_, Enum):
            if isinstance(value, Number) and _fits(value, "int32"):
                return _enum_name(type_, int(value))
        elif type_ is STR and isinstance(value, str) and not isinstance(value, Number):
            return str(value)
        elif type_ is BOOL and isinstance(value, bool):
            return value
        elif type_ is FLOAT and isinstance(value, Number):
            return float(value)
        elif type_.go in _RANGES and isinstance(value, Number) and _fits(value, type_.go):
            return int(value)
        self.mismatch(value, type_.go, owner, path)
        return type_.zero


def _fits(value: Number, go: str) -> bool:
    low, high = _RANGES[go]
    return bool(_INTEGER.match(value)) and low <= int(value) <= high


def _go_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Number):
        return "number"
    if isinstance(value, str):
        return "string"
    return "object" if isinstance(value, Pairs) else "array"


def render(value: Mapping[str, Any], type_: Message) -> Dict:
    """Return the message as JSON data: declared order, defaults included, 64-bit integers as strings, maps sorted.

    Raises:
        KeyError: a key is not a field of the message.
    """
    unknown = value.keys() - type_.fields.keys()
    if unknown:
        raise KeyError(f"{type_.go} has no field {sorted(unknown)}")
    return {name: _render_field(value.get(name), field) for name, field in type_.fields.items()}


def _render_field(value: Any, field: Field) -> Any:
    if field.kind == "repeated":
        return [_render_single(item, field.type) for item in value or []]
    if field.kind == "map":
        return {key: _render_single((value or {})[key], field.type) for key in sorted(value or {})}
    if value is None:
        value = field.default()
    return _render_single(value, field.type)


def _render_single(value: Any, type_: Type) -> Any:
    if isinstance(type_, Message):
        return None if value is None else render(value, type_)
    if type_ is INT64 or type_ is UINT64:
        return str(value)
    if type_ is FLOAT and value is not None and math.isfinite(value) and value == int(value):
        return int(value)
    return value


def render_go(value: Mapping[str, Any], type_: Message) -> Dict:
    """Return the message as encoding/json writes the Go struct: zero values omitted, enums as numbers."""
    result: Dict = {}
    for name, field in type_.fields.items():
        item = value.get(name)
        if item is None or item == field.default():
            continue
        if isinstance(field.type, Message):
            nested = field.type
            item = [render_go(i, nested) for i in item] if field.kind == "repeated" else render_go(item, nested)
        elif isinstance(field.type, Enum) and isinstance(item, str):
            item = field.type.names.index(item)
        result[name] = item
    return result
