"""Known secrets, and their removal from text."""

import base64
import functools
import json
import re
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORT = 4
# Where a short secret is masked: in quotes, before the @ of a URL, after a word that announces it.
_PLACES = (
    r"(?P<before>"
    r"(?<=[\"'`])(?={secret}[\"'`])"
    r"|(?<=[:/])(?={secret}@)"
    r"|(?i:(?:password|passwd|pwd|token|secret|key)[\"']?\s*[=:]\s*[\"']?)(?={secret}(?![0-9A-Za-z]))"
    r"){secret}"
)
_secrets: set[str] = set()
_short: set[str] = set()


def hide(*values: str | bytes) -> None:
    """Mask these values in all later output, also as base64, JSON or URL text, and each of their lines.

    A form of fewer than four characters occurs in every text. It is masked where values stand: in quotes, as the
    password of a URL, and after a word such as `password=`. Elsewhere the masks would garble the text and show by
    their places what was masked.
    """
    for value in values:
        for form in _forms(value.encode() if isinstance(value, str) else value):
            if len(form) >= _SHORT:
                _secrets.add(form)
            elif form.strip():
                _short.add(form)


@functools.lru_cache(maxsize=64)
def _forms(value: bytes) -> frozenset[str]:
    """Return the texts to mask for a secret. A step reads the same Secrets many times."""
    text = value.decode(errors="replace")
    forms = {base64.b64encode(value).decode()}
    for form in (
        text,
        text.strip(),
        *(line for line in text.splitlines() if not line.startswith("-----")),
    ):
        forms |= {
            form,
            base64.b64encode(form.encode()).decode(),
            json.dumps(form)[1:-1],
            json.dumps(form, ensure_ascii=False)[1:-1],
            repr(form)[1:-1],
            quote(form, safe=""),
            quote_plus(form),
        }
    return frozenset(forms)


def redact(text: str) -> str:
    """Return `text` with every known secret masked."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    if _short:
        one = "|".join(re.escape(secret) for secret in sorted(_short, key=len, reverse=True))
        text = re.sub(_PLACES.format(secret=f"(?:{one})"), _masked, text)
    return text


def _masked(match: re.Match[str]) -> str:
    return f"{match['before']}{MASK}"
