"""Masks what looks like a secret, in text that servers, engines and users wrote.

`core.redaction` masks the secrets that the commands have read, by their value. This module masks the others by their
name or their form.
"""

import re

from kuscia_hooks.core.redaction import MASK, redact

_COLORS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_NAMES = (
    r"(?:(?:password|passwd|passphrase|pwd|(?<![a-z])pass|secret|token|credential|signature|session[_-]?id|"
    r"(?:api|access|private|domain)[_-]?key|密码|口令|密钥|令牌)\w{0,64}|(?<![\w-])(?:auth|sk))"
)
_BEGIN = r"(?:=>|[=:：]|%3[Dd])[ \t]*[\[{]?"
# A quote of JSON in JSON has a backslash.
_QUOTED = (
    r"\\\"(?P<json>(?:[^\"\\\n]|\\\\(?:\\\"|[^\n])){1,4096})\\\"|\"(?P<double>(?:[^\"\\\n]|\\[^\n]){1,4096})\"|"
    r"'(?P<single>(?:[^'\n]|''){1,4096})'"
)
# MySQL reports: Access denied (using password: YES).
_VALUE = (
    rf"(?!(?:yes|no|true|false|null|none)(?:[\s),;\]}}]|\Z))(?:{_QUOTED}|[\\\"']*(?P<plain>[^\s\"',;&{{}}\[\]\\]+))"
)
_PATTERNS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    # User and password of a URL, also with @ and / in the password, and those of a DSN of MySQL.
    re.compile(r"(?<=//)(?:[^\s@/:]{1,256}:[^\s\"'<>]{1,256}|[^\s/@]+)(?=@)"),
    re.compile(r"(?<=:)[^\n\"']{1,256}(?=@\w{0,8}\()"),
    # A parameter such as token="…" may have quotes; other quotes end the value.
    re.compile(
        r"(?i)(?:authorization|cookie)[\\\"']*[ \t]*[:=][ \t]*[\\\"']*"
        r"(?P<plain>[^\n\"'\\]+(?:(?<==)\\?\"[^\"\n\\]*\\?\")?)"
    ),
    # An environment variable in JSON or YAML.
    re.compile(
        rf"(?i)name[\\\"']*[ \t]*[:=][ \t]*[\\\"']*[\w.-]{{0,64}}?{_NAMES}[\\\"']*[ \t]*[,\n]?[ \t]*"
        rf"[\\\"']*value[\\\"']*[ \t]*{_BEGIN}{_VALUE}"
    ),
    # A block of YAML.
    re.compile(rf"(?i){_NAMES}[\"']?:[ \t]*[|>][-+0-9]*[ \t]*\n(?P<plain>(?:[ \t]+[^\n]*(?:\n|\Z))+)"),
    re.compile(rf"(?i){_NAMES}[\\\"']*[ \t]*=>?[ \t]*[\[{{]?{_VALUE}"),
    # A word with a space before the colon is quoted text (volume "secret" : not found), unless a quote follows.
    re.compile(rf"(?i){_NAMES}[\\\"']*{_BEGIN}{_VALUE}"),
    re.compile(rf"(?i){_NAMES}[\"'][ \t]+:[ \t]*(?=[\"']){_VALUE}"),
    re.compile(rf"(?i)<[\w:-]{{0,64}}?{_NAMES}[^<>]{{0,64}}>(?P<plain>[^<]+)"),
    re.compile(rf"(?i)(?<!-)--(?=\w)[\w-]{{0,64}}?{_NAMES}[ \t]+(?!-){_VALUE}"),
    re.compile(rf"(?i)\bidentified by[ \t]+{_VALUE}"),
    re.compile(r"(?<=[?&]sig=)[^&\s\"']+"),
    re.compile(r"(?i)\bbearer\s+(?P<plain>[\w.~+/=-]+)"),
    re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]+"),
)


def without_colors(text: str) -> str:
    """Return a log without the colors of a terminal, which can separate a name from its value."""
    return _COLORS.sub("", text)


def without_secrets(text: str) -> str:
    """Return a text with every known secret, and everything that looks like one, masked."""
    text = without_colors(text)
    for pattern in _PATTERNS:
        text = pattern.sub(_masked, text)
    return redact(text)


def _masked(match: re.Match[str]) -> str:
    """Return the match with its value masked; without a group, the match is the value."""
    begin, end = next(
        (match.span(name) for name, value in match.groupdict().items() if value is not None), match.span()
    )
    whole = match.start()
    return match.group()[: begin - whole] + MASK + match.group()[end - whole :]
