"""Output of the steps.

Everything that a step prints goes through one handler, which masks all known secrets.
"""

import base64
import functools
import io
import json
import logging
import re
import sys
import time
from types import TracebackType
from typing import TextIO
from urllib.parse import quote, quote_plus

from kuscia_hooks.core.errors import StepError, StepWarning

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
_last_line = time.monotonic()

logger = logging.getLogger("kuscia_hooks")


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


def fields(error: StepError) -> dict[str, str]:
    """Return the log fields of an error, for `extra`; the text form prints them with the message."""
    return {"error_id": error.id, "fix": error.fix, "see": error.see}


def warn(warning: StepWarning | StepError) -> None:
    """Log a warning, or an error that does not stop the step, as `WARNING [id] message`, with its fix."""
    extra = {"error_id": warning.id, "fix": warning.fix, "see": getattr(warning, "see", "")}
    logger.warning("%s", warning.message, extra=extra)


def _field(record: logging.LogRecord, name: str) -> str:
    return str(getattr(record, name, ""))


class _TextFormatter(logging.Formatter):
    """Formats a record as `LEVEL [error ID] message`, followed by lines with the fix and a command to see more."""

    def format(self, record: logging.LogRecord) -> str:
        error_id = _field(record, "error_id")
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname} {f'[{error_id}] ' if error_id else ''}"
        lines = [prefix + super().format(record)]
        lines += [f"    {name}: {_field(record, name)}" for name in ("fix", "see") if _field(record, name)]
        return redact("\n".join(lines))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the log, and remembers when it last did."""

    def emit(self, record: logging.LogRecord) -> None:
        global _last_line
        super().emit(record)
        _last_line = time.monotonic()


def silence() -> float:
    """Return the seconds since the last line of the log."""
    return time.monotonic() - _last_line


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log an exception that nothing caught, so that its traceback is redacted too."""
    logger.critical("unexpected error", exc_info=(kind, error, trace))


def setup(as_json: bool, *, stderr: bool = False) -> None:
    """Send the log to standard output, as plain lines or as one JSON object per line.

    Args:
        stderr: send it to standard error, for a command whose output is a file.
    """
    output = sys.stderr if stderr else sys.stdout
    if isinstance(output, io.TextIOWrapper):
        # Names from outside may have characters that the encoding of the output does not.
        output.reconfigure(errors="backslashreplace")
    handler = _Handler(output)
    if as_json:
        from kuscia_hooks.core.json_log import RedactingJsonFormatter

        handler.setFormatter(RedactingJsonFormatter())
    else:
        handler.setFormatter(_TextFormatter())
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # urllib3 warns about each retry; the steps report the same condition with its fix.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    sys.excepthook = _unexpected
