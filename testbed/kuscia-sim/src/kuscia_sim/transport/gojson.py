"""JSON as Go's encoding/json reads it: the first value of a text, and Go's error texts.

KusciaAPI falls back to that decoder when protobuf-JSON rejects a body, so clients see its texts (recorded: "invalid
character '#' after object key:value pair", "EOF", ...).
"""

import json
import re
from typing import Any

Value = Any
"""None, bool, str, Number, list[Value] or Pairs."""

_SPACE = b" \t\r\n"
_LITERALS = {b"t": (b"true", True), b"f": (b"false", False), b"n": (b"null", None)}
_HEX = b"0123456789abcdefABCDEF"
_SURROGATE = re.compile("[\ud800-\udfff]")
MAX_DEPTH = 10000


class Number(str):
    """The text of a JSON number."""


class Pairs(list[tuple[str, Value]]):
    """A JSON object: its members in order, including duplicates."""


class JSONSyntaxError(ValueError):
    """The text is not JSON; str() is Go's text."""


def _quote(char: int) -> str:
    if char == 0x27:
        return "'\\''"
    if char == 0x22:
        return "'\"'"
    known = {0x5C: "\\\\", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r"}
    if char in known:
        return f"'{known[char]}'"
    printable = 0x20 <= char < 0x7F or (char > 0xA0 and char != 0xAD)
    if printable:
        return f"'{chr(char)}'"
    return f"'\\x{char:02x}'" if char < 0x80 else f"'\\u{char:04x}'"


class _Scanner:
    """A recursive-descent parser; every error has the context that Go's scanner names."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.depth = 0

    def fail(self, context: str) -> JSONSyntaxError:
        if self.pos >= len(self.data):
            return JSONSyntaxError("unexpected EOF")
        return JSONSyntaxError(f"invalid character {_quote(self.data[self.pos])} {context}")

    def peek(self) -> bytes:
        return self.data[self.pos : self.pos + 1]

    def skip_space(self) -> None:
        while self.pos < len(self.data) and self.data[self.pos] in _SPACE:
            self.pos += 1

    def value(self) -> Value:
        self.skip_space()
        char = self.peek()
        if char in (b"{", b"["):
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise JSONSyntaxError("exceeded max depth")
            result = self.object() if char == b"{" else self.array()
            self.depth -= 1
            return result
        if char == b'"':
            return self.string()
        if char in _LITERALS:
            return self.literal(*_LITERALS[char])
        if char == b"-" or char.isdigit():
            return self.number()
        raise self.fail("looking for beginning of value")

    def object(self) -> Pairs:
        self.pos += 1
        pairs = Pairs()
        self.skip_space()
        if self.peek() == b"}":
            self.pos += 1
            return pairs
        while True:
            self.skip_space()
            if self.peek() != b'"':
                raise self.fail("looking for beginning of object key string")
            key = self.string()
            self.skip_space()
            if self.peek() != b":":
                raise self.fail("after object key")
            self.pos += 1
            pairs.append((key, self.value()))
            self.skip_space()
            end = self.peek()
            if end not in (b",", b"}"):
                raise self.fail("after object key:value pair")
            self.pos += 1
            if end == b"}":
                return pairs

    def array(self) -> list[Value]:
        self.pos += 1
        items: list[Value] = []
        self.skip_space()
        if self.peek() == b"]":
            self.pos += 1
            return items
        while True:
            items.append(self.value())
            self.skip_space()
            end = self.peek()
            if end not in (b",", b"]"):
                raise self.fail("after array element")
            self.pos += 1
            if end == b"]":
                return items

    def string(self) -> str:
        start = self.pos
        self.pos += 1
        while True:
            char = self.peek()
            if not char or char < b" ":
                raise self.fail("in string literal")
            self.pos += 1
            if char == b'"':
                break
            if char == b"\\":
                escape = self.peek()
                if not escape or escape not in b'bfnrt\\/"u':
                    raise self.fail("in string escape code")
                self.pos += 1
                for _ in range(4 if escape == b"u" else 0):
                    digit = self.peek()
                    if not digit or digit not in _HEX:
                        raise self.fail("in \\u hexadecimal character escape")
                    self.pos += 1
        text: str = json.loads(self.data[start : self.pos].decode("utf-8", "replace"))
        return _SURROGATE.sub("\ufffd", text)

    def literal(self, word: bytes, value: Value) -> Value:
        for index, expected in enumerate(word):
            if self.peek() != bytes([expected]):
                raise self.fail(f"in literal {word.decode()} (expecting {_quote(word[index])})")
            self.pos += 1
        return value

    def digits(self, context: str) -> None:
        if not self.peek().isdigit():
            raise self.fail(context)
        while self.peek().isdigit():
            self.pos += 1

    def number(self) -> Number:
        start = self.pos
        if self.peek() == b"-":
            self.pos += 1
        if self.peek() == b"0":
            self.pos += 1
        else:
            self.digits("in numeric literal")
        if self.peek() == b".":
            self.pos += 1
            self.digits("after decimal point in numeric literal")
        if self.peek() in (b"e", b"E"):
            self.pos += 1
            if self.peek() in (b"+", b"-"):
                self.pos += 1
            self.digits("in exponent of numeric literal")
        return Number(self.data[start : self.pos].decode())


def decode_first(data: bytes) -> tuple[Value, bool]:
    """Return the first JSON value of `data`, and whether only space follows it.

    Raises:
        JSONSyntaxError: the text is invalid ("EOF" if it is empty).
    """
    scanner = _Scanner(data)
    scanner.skip_space()
    if scanner.pos == len(data):
        raise JSONSyntaxError("EOF")
    try:
        value = scanner.value()
    except RecursionError:
        raise JSONSyntaxError("exceeded max depth") from None
    scanner.skip_space()
    return value, scanner.pos == len(data)


def decode_whole(data: bytes) -> Value:
    """Parse a whole text as json.Unmarshal does.

    Raises:
        JSONSyntaxError: the text is invalid.
    """
    scanner = _Scanner(data)
    try:
        value = scanner.value()
        scanner.skip_space()
    except RecursionError:
        raise JSONSyntaxError("exceeded max depth") from None
    except JSONSyntaxError:
        if scanner.pos >= len(data):
            raise JSONSyntaxError("unexpected end of JSON input") from None
        raise
    if scanner.pos < len(data):
        raise scanner.fail("after top-level value")
    return value


def go_quote(text: str) -> str:
    """Return a string as Go's %q prints it."""
    known = {"\\": "\\\\", '"': '\\"', "\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v"}
    known |= {"\f": "\\f", "\r": "\\r"}
    quoted = []
    for char in text:
        code = ord(char)
        if char in known:
            quoted.append(known[char])
        elif char.isprintable():
            quoted.append(char)
        elif code < 0x80:
            quoted.append(f"\\x{code:02x}")
        else:
            quoted.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return f'"{"".join(quoted)}"'


def compact(value: Any) -> str:
    """Return JSON as protojson writes it: without spaces and with minimal escaping."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def encode(value: Any) -> str:
    """Return JSON as encoding/json writes it: `<`, `>` and `&` are escaped too."""
    text = compact(value)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
