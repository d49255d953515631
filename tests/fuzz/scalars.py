"""Scalars that tell whether a template quotes and checks a value."""

import functools

from tests.fuzz.values import Plain

YAML_LOOK_ALIKES = (
    *("no", "yes", "on", "off", "n", "y", "true", "false", "True", "null", "Null", "~"),
    *("1e3", "1E3", "0x10", "0o17", "017", "0b1", "1_000", "12:30:00", "1.0", "1.10", ".5", "1.", "+1", "-1"),
    *("0", "00", "1", "123", "9999", "123456789012345678901234567890", "2024-01-01", "2024-01-01T00:00:00Z"),
    *(".inf", "-.inf", ".nan", "=", "<<", "-", "--", "---", "...", "?", ":", "!", "!!str a", "*a", "&a", "|", ">", "%"),
    *("@", "`", "#", "a #b", "a: b", "a:", "- a", "{a}", "[a]", "{}", "[]", "{a: b}", ",", "a,b"),
)
"""Text that YAML reads as another type, or as syntax, when it is not quoted."""

TEMPLATES = (
    "{{ .Values }}",
    "{{",
    "}}",
    "{{/* a */}}",
    "{{.TASK_ID}}",
    "${HOME}",
    "$(HOME)",
    "$(",
    "$HOME",
    "%s",
    "%d",
)

BLANKS = ("", " ", "  ", "\t", "\n", "\r\n", " a", "a ", "a b", "a\n", "a\nb", "\na", "a\tb", "a\r\nb", "a\n---\nb")

QUOTES = ("'", '"', "''", '""', "a'b", 'a"b', "'a'", '"a"', "\\", "a\\nb", "\\x", "\\", "`a`", "a\\")

UNICODE = (
    "é",
    "节点",
    "😀",
    "\u200b",
    "a\u00a0b",
    "\u202ea",
    "\ufeffa",
    "a\u0085b",
    "\u2028",
    "\u0001",
    "\u007f",
    "İ",
    "ａ",
)

LONG = ("a" * 53, "a" * 63, "a" * 64, "a" * 253, "a" * 254, "9" * 63, "a" * 5000, "a." * 60 + "a", "a-" * 31 + "a")

NAMES = (
    *(
        "a",
        "alice",
        "my-secret",
        "a.b",
        "a-b.c-d",
        "0a",
        "1",
        "A",
        "Alice",
        "a_b",
        "a..b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a--b",
    ),
    *(
        "a/b",
        "/a",
        "a/",
        "../a",
        "..",
        ".",
        "a@b",
        "a+b",
        "a=b",
        "a&b",
        "a;b",
        "a|b",
        "a>b",
        "a<b",
        "a(b)",
        "a*b",
        "a?b",
    ),
    *("kuscia-system", "default", "kube-system", "kuscia", "master", "lite", "domain.key", "ca.crt"),
)

ADDRESSES = (
    *(
        "1.2.3.4",
        "256.1.1.1",
        "1.2.3",
        "::1",
        "[::1]",
        "10.0.0.0/8",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "fd00::/8",
        "0.0.0.0/0",
    ),
    *(
        "https://a",
        "https://a.example.com",
        "http://a.example.com:0",
        "https://a.example.com:65536",
        "ftp://a.example.com",
    ),
    *(
        "https://u:p@a.example.com",
        "https://a.example.com/?a=b",
        "https://a.example.com/#a",
        "https://a.example.com/a b",
    ),
    *("https://", "//a", "a.example.com", "a.example.com:80", "a.svc", "a.b.svc", "https://a.b.svc.cluster.local:1080"),
    *("https://[::1]:80", "https://1.2.3.4", "https://a..b", "https://节点.example.com", "https://A.EXAMPLE.COM"),
)

QUANTITIES = ("1Gi", "1 Gi", "1gi", "1GB", "0.5", "-1", "1e3", "100m", "1e", "Gi", "1.5Gi", "0", "1E", "1Mi ", "9" * 30)

TEXTS = YAML_LOOK_ALIKES + TEMPLATES + BLANKS + QUOTES + UNICODE + LONG + NAMES + ADDRESSES + QUANTITIES

NUMBERS = (0, 1, -1, 2, 63, 80, 123, 255, 1000, 1080, 30080, 32768, 65535, 65536, 100000, 1000000, 12345678, 86400000)
BIG_NUMBERS = (2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 10**21, -(2**31), -(2**63))
FRACTIONS = (0.5, 1.5, -0.5, 1e-7, 1e6, 1e100)

UNQUOTED = tuple(
    Plain(text)
    for text in (
        "no",
        "yes",
        "on",
        "off",
        "~",
        "1e3",
        "0x10",
        "0o17",
        "017",
        "1_000",
        "12:30:00",
        "1.10",
        "2024-01-01",
        "+1",
    )
)

EMPTY = (None, [], {}, "", [None], {"": ""}, {"": None}, [[]], [{}], [""], {"a": None})

KEYS = (
    *("a", "bob", "carol", "", " ", "1", "no", "null", "1e3", "0x10", "~", "true", "a b", "a.b", "a/b", "a: b", "a\nb"),
    *("example.com/team", "example.com/", "/a", "a/b/c", "A/b", "节点", "'", '"', "{{ .Values }}", "#", "<<", "*", "-"),
    *("x" * 63, "x" * 64, "x" * 300, "kuscia-system", "helm.sh/hook", "helm.sh/resource-policy", "kuscia-chart/domain"),
    *("app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component", "kubernetes.io/hostname"),
    *("checksum/config", "kuscia.secretflow/x", "nginx.ingress.kubernetes.io/backend-protocol"),
)
"""Keys of open mappings: labels, annotations, domains, columns."""

LOOK_ALIKES = ("1e3", "0x10", "true", "false", "no", "yes", "on", "off", "y")
"""Names that YAML reads as numbers or booleans."""

RELEASES = (
    *("kuscia", "a", "0", "1", "123", "9999", *LOOK_ALIKES, "n", "null"),
    *("a.b", "1.0", "1.10", "1.2.3.4", "a-b", "a--b", "kuscia-master", "kuscia-lite-alice", "12e03", "0o17", "a" * 53),
    *("9" * 53, "a-" * 26 + "a", "a." * 26 + "a", "master", "lite", "kuscia-0.1.0", "2024-01-01"),
)
INVALID_RELEASES = ("A", "a_b", "a-", "a" * 54, "a b", "节点", "a..b", "~", "1_000")
NAMESPACES = (
    *("ns", "default", "kube-system", "9999", "123", "0", *LOOK_ALIKES),
    *("null", "a-b", "a--b", "a" * 63, "9" * 63, "12e03", "0o17", "2024-01-01", "kuscia-master", "lite-alice"),
)


@functools.cache
def of_type(kind: str) -> tuple[object, ...]:
    """Return unusual values of a type of JSON Schema."""
    return {
        "string": TEXTS,
        "integer": NUMBERS + BIG_NUMBERS,
        "number": NUMBERS + BIG_NUMBERS + FRACTIONS,
        "boolean": (True, False),
        "null": (None,),
        "object": ({}, {"": ""}, {"a": None}, {"a": {"b": [1]}}),
        "array": ([], [None], [""], [[]], [{}], ["a", "a"]),
    }[kind]
