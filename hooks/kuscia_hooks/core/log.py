"""Output of the steps.

Everything printed goes through one handler, which knows the secrets and hides them.
"""

import base64
import json
import logging
import sys
import time
from types import TracebackType
from urllib.parse import quote, quote_plus

MASK = "***"
_secrets: set[str] = set()

logger = logging.getLogger("kuscia_hooks")


def hide(*values: str | bytes) -> None:
    """Never print these values again, nor their base64, JSON and URL forms, nor single lines of them."""
    for value in values:
        raw = value.encode() if isinstance(value, str) else value
        text = raw.decode(errors="replace")
        for form in (
            text,
            text.strip(),
            *(line for line in text.splitlines() if not line.startswith("-----")),
        ):
            encoded = form.encode()
            _secrets.update(
                {
                    form,
                    base64.b64encode(encoded).decode(),
                    json.dumps(form)[1:-1],
                    repr(form)[1:-1],
                    quote(form, safe=""),
                    quote_plus(form),
                }
            )
        _secrets.add(base64.b64encode(raw).decode())
    _secrets.discard("")


def redact(text: str) -> str:
    """`text` without any known secret."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        prefix = "" if record.levelno == logging.INFO else f"{record.levelname} "
        return redact(prefix + super().format(record))


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": redact(super().format(record)),
        }
        return json.dumps(entry, ensure_ascii=False)


def _unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Even the traceback of a mistake in here must not show a secret."""
    logger.critical("unexpected error", exc_info=(kind, error, trace))


def setup(as_json: bool) -> None:
    """Send the log to standard output, one line or one JSON object a message."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonFormatter() if as_json else _TextFormatter())
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # Its warnings repeat what the steps say in better words.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    sys.excepthook = _unexpected
