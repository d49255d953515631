"""Parsing of request bodies and rendering of answers: the rules behind the recorded texts."""

import pytest

from kuscia_sim.transport import gojson
from kuscia_sim.transport.protojson import (
    BOOL,
    FLOAT,
    INT32,
    INT64,
    STR,
    DecodeError,
    Enum,
    mapping,
    message,
    optional,
    parse,
    parse_form,
    render,
    render_go,
    repeated,
)

Inner = message("Inner", "v1alpha1", text=STR, number=INT32)
Outer = message(
    "Outer",
    domain_id=STR,
    isTLS=BOOL,
    port=INT32,
    period=INT64,
    kind=Enum("v1alpha1.FileFormat", ("UNKNOWN", "CSV")),
    labels=mapping(),
    names=repeated(STR),
    inner=Inner,
    inners=repeated(Inner),
    maybe=optional(STR),
    share=FLOAT,
)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("", "EOF"),
        ("  \n", "EOF"),
        ("{", "unexpected EOF"),
        ('{"domain_id": "a"', "unexpected EOF"),
        ("{not json", "invalid character 'n' looking for beginning of object key string"),
        ("{'a': 1}", r"invalid character '\'' looking for beginning of object key string"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a": 1 "b"}', "invalid character '\"' after object key:value pair"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("nul", "unexpected EOF"),
        ("nulx", "invalid character 'x' in literal null (expecting 'l')"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ('"a\nb"', r"invalid character '\n' in string literal"),
        (r'"\x"', "invalid character 'x' in string escape code"),
        (r'"\u12x"', r"invalid character 'x' in \u hexadecimal character escape"),
        ("中", "invalid character 'ä' looking for beginning of value"),
        ("[]", "json: cannot unmarshal array into Go value of type kusciaapi.Outer"),
        ('"x"', "json: cannot unmarshal string into Go value of type kusciaapi.Outer"),
        ("true", "json: cannot unmarshal bool into Go value of type kusciaapi.Outer"),
        (
            '{"domain_id": 5}',
            "json: cannot unmarshal number into Go struct field Outer.domain_id of type string",
        ),
        (
            '{"domain_id": {}}',
            "json: cannot unmarshal object into Go struct field Outer.domain_id of type string",
        ),
        ('{"isTLS": "x"}', "json: cannot unmarshal string into Go struct field Outer.isTLS of type bool"),
        ('{"port": 1.5}', "json: cannot unmarshal number 1.5 into Go struct field Outer.port of type int32"),
        (
            '{"port": 1e10}',
            "json: cannot unmarshal number 1e10 into Go struct field Outer.port of type int32",
        ),
        ('{"port": "x"}', "json: cannot unmarshal string into Go struct field Outer.port of type int32"),
        (
            '{"labels": {"n": 1}}',
            "json: cannot unmarshal number into Go struct field Outer.labels of type string",
        ),
        (
            '{"labels": []}',
            "json: cannot unmarshal array into Go struct field Outer.labels of type map[string]string",
        ),
        ('{"names": "a"}', "json: cannot unmarshal string into Go struct field Outer.names of type []string"),
        (
            '{"inner": 1}',
            "json: cannot unmarshal number into Go struct field Outer.inner of type v1alpha1.Inner",
        ),
        (
            '{"inner": {"text": 1}}',
            "json: cannot unmarshal number into Go struct field Inner.inner.text of type string",
        ),
        (
            '{"inners": {}}',
            "json: cannot unmarshal object into Go struct field Outer.inners of type []*v1alpha1.Inner",
        ),
        (
            '{"inners": [{"number": "x"}]}',
            "json: cannot unmarshal string into Go struct field Inner.inners.number of type int32",
        ),
        ('{"nosuch": 1, "domain_id": 5}', 'json: unknown field "nosuch"'),
        ('{"domainId": "a", "port": "x"}', 'json: unknown field "domainId"'),
    ],
)
def test_rejects_bodies_with_texts_of_go(body: str, text: str) -> None:
    with pytest.raises(DecodeError) as refused:
        parse(body.encode(), Outer)
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        ('{"domain_id": "a"}', "domain_id", "a"),
        ('{"domainId": "a"}', "domain_id", "a"),
        ('{"domain_id": "a", "nosuch": {"x": [1]}}', "domain_id", "a"),
        ('{"domain_id": null}', "domain_id", ""),
        ('{"domain_id": "a", "domain_id": "b"}', "domain_id", "b"),
        ('{"domain_id": "a"} and more', "domain_id", "a"),
        ("null", "domain_id", ""),
        ('{"port": "12"}', "port", 12),
        ('{"port": 1.0}', "port", 1),
        ('{"port": 1e2}', "port", 100),
        ('{"period": "9223372036854775807"}', "period", 9223372036854775807),
        ('{"kind": "CSV"}', "kind", "CSV"),
        ('{"kind": 1}', "kind", "CSV"),
        ('{"kind": "NOSUCH"}', "kind", "UNKNOWN"),
        ('{"labels": {"a": null}}', "labels", {"a": ""}),
        ('{"maybe": ""}', "maybe", ""),
        ("{}", "maybe", None),
        ("{}", "inner", None),
        ('{"inner": {}}', "inner", {"text": "", "number": 0}),
        ('{"domain_id": "\\ud800"}', "domain_id", "\ufffd"),
    ],
)
def test_accepts_bodies(body: str, field: str, value: object) -> None:
    assert parse(body.encode(), Outer)[field] == value


def test_form_requires_field_names_of_go() -> None:
    assert parse_form({'{"domain_id": "a"}': ""}, Outer) == Outer.defaults()
    assert parse_form({"DomainId": "a", "Port": "3"}, Outer) == {
        **Outer.defaults(),
        "domain_id": "a",
        "port": 3,
    }


def test_renders_every_field_in_order() -> None:
    answer = render({"period": 5, "labels": {"b": "2", "a": "1"}, "inners": [{}], "share": 1.0}, Outer)
    assert list(answer) == list(Outer.fields)
    assert answer["period"] == "5"
    assert list(answer["labels"]) == ["a", "b"]
    assert answer["inner"] is None
    assert answer["inners"] == [{"text": "", "number": 0}]
    assert answer["share"] == 1
    assert isinstance(answer["share"], int)
    with pytest.raises(KeyError):
        render({"nosuch": 1}, Outer)


def test_streams_omit_zero_values_and_number_enums() -> None:
    item = render_go({"domain_id": "a", "port": 0, "kind": "CSV", "inner": {"text": "x", "number": 0}}, Outer)
    assert item == {"domain_id": "a", "kind": 1, "inner": {"text": "x"}}
    assert gojson.encode({"a": "<nil> & more"}) == r'{"a":"\u003cnil\u003e \u0026 more"}'


def test_rejects_deep_nesting() -> None:
    with pytest.raises(DecodeError, match="exceeded max depth"):
        parse(b"[" * 20000, Outer)
