"""Protobuf encoding of the messages of kuscia_sim.transport.protojson, for application/x-protobuf bodies.

Fields are numbered in the order of their declaration, as in Kuscia's .proto files (Kuscia facts 7.1).
"""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

from kuscia_sim.transport.protojson import ANY, BOOL, FLOAT, STR, DecodeError, Dict, Enum, Field, Message, Type

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
BITS = {"int32": 32, "int64": 64, "uint32": 32, "uint64": 64}
INVALID = "proto: cannot parse invalid wire-format data"
MAX_VARINT = 10


def encode(value: Mapping[str, Any], type_: Message) -> bytes:
    """Return the encoded message; defaults are omitted."""
    return b"".join(
        _encode_field(number, value.get(name), field) for number, (name, field) in enumerate(type_.fields.items(), 1)
    )


def decode(data: bytes, type_: Message) -> Dict:
    """Return the message with every field, like protojson.parse. Unknown fields are skipped.

    Raises:
        DecodeError: the data is invalid.
    """
    result = type_.defaults()
    numbered = dict(enumerate(type_.fields.items(), 1))
    for number, wire, raw in _fields(data):
        if number not in numbered:
            continue
        name, field = numbered[number]
        if field.kind == "map":
            key, item = _decode_entry(raw, field)
            result[name] = {**result[name], key: item}
        elif field.kind == "repeated":
            result[name] = [*result[name], *_decode_items(wire, raw, field.type)]
        else:
            result[name] = _decode_single(wire, raw, field.type)
    return result


def _encode_field(number: int, value: Any, field: Field) -> bytes:
    if field.kind == "map":
        entries = [_key(key) + _encode_single(2, item, field.type) for key, item in (value or {}).items()]
        return b"".join(_bytes(number, entry) for entry in entries)
    if field.kind == "repeated":
        return b"".join(_encode_single(number, item, field.type, always=True) for item in value or [])
    if value is None:
        return b""
    return _encode_single(number, value, field.type, always=field.kind == "optional")


def _key(text: str) -> bytes:
    return _bytes(1, text.encode())


def _encode_single(number: int, value: Any, type_: Type, always: bool = False) -> bytes:
    if isinstance(type_, Message):
        return _bytes(number, encode(value or {}, type_))
    if type_ is ANY:
        return _bytes(number, _encode_any(value))
    if not always and value in ("", 0, False, None, type_.zero):
        return b""
    if type_ is STR:
        return _bytes(number, str(value).encode())
    if type_ is FLOAT:
        return _varint(number << 3 | FIXED32) + struct.pack("<f", value)
    if isinstance(type_, Enum):
        value = type_.names.index(value) if isinstance(value, str) else value
    return _varint(number << 3 | VARINT) + _varint(int(value) & (2**64 - 1))


def _encode_any(value: Mapping[str, Any]) -> bytes:
    """Encode a google.protobuf.Any that contains a Status (the only kind in answers)."""
    status = _encode_single(1, value["code"], _INT) + _encode_single(2, value["message"], STR)
    return _key(value["@type"]) + _bytes(2, status)


_INT = Enum("int32", ())


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and raw value (int or bytes) of each field."""
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        number, wire = tag >> 3, tag & 7
        if not number:
            raise DecodeError(INVALID)
        if wire == VARINT:
            value, position = _read_varint(data, position)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, position = _read_varint(data, position)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise DecodeError(INVALID)
        if position + length > len(data):
            raise DecodeError(INVALID)
        yield number, wire, data[position : position + length]
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for index in range(MAX_VARINT):
        if position + index >= len(data):
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value & (2**64 - 1), position + index + 1
    raise DecodeError(INVALID)


def _decode_entry(raw: Any, field: Field) -> tuple[str, Any]:
    key, item = "", Field(field.type).default()
    if not isinstance(raw, bytes):
        raise DecodeError(INVALID)
    for number, wire, value in _fields(raw):
        if number == 1:
            key = _decode_single(wire, value, STR)
        elif number == 2:
            item = _decode_single(wire, value, field.type)
    return key, item


def _decode_items(wire: int, raw: Any, type_: Type) -> list[Any]:
    """Return one item, or the items of a packed number field."""
    packed = wire == BYTES and not isinstance(type_, Message) and type_ is not STR
    if not packed:
        return [_decode_single(wire, raw, type_)]
    items, position = [], 0
    while position < len(raw):
        value, position = _read_varint(raw, position)
        items.append(_decode_single(VARINT, value, type_))
    return items


def _decode_single(wire: int, raw: Any, type_: Type) -> Any:
    if isinstance(type_, Message):
        if wire == BYTES:
            return decode(raw, type_)
    elif type_ is STR:
        if wire == BYTES:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                raise DecodeError("string field contains invalid UTF-8") from None
    elif type_ is FLOAT:
        if wire == FIXED32:
            return struct.unpack("<f", raw)[0]
    elif wire == VARINT:
        return _decode_number(raw, type_)
    raise DecodeError(INVALID)


def _decode_number(raw: int, type_: Type) -> Any:
    if type_ is BOOL:
        return bool(raw)
    assert not isinstance(type_, Message)
    bits = BITS.get(type_.go, 32)
    value = raw & (2**bits - 1)
    if not type_.go.startswith("u") and value >= 2 ** (bits - 1):
        value -= 2**bits
    if isinstance(type_, Enum):
        return type_.names[value] if 0 <= value < len(type_.names) else value
    return value
