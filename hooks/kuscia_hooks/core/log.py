"""Output of the steps.

Everything that a step prints goes through one handler, which masks all known secrets.
"""

import io
import logging
import sys
import time
from types import TracebackType
from typing import TextIO

from kuscia_hooks.core.errors import StepError, StepWarning
from kuscia_hooks.core.redaction import redact

_last_line = time.monotonic()

logger = logging.getLogger("kuscia_hooks")


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
