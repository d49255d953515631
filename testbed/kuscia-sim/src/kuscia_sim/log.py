"""Kuscia's log: the same lines on stdout and in var/logs/kuscia.log (Kuscia facts 12.5).

A line is `YYYY-MM-DD hh:mm:ss.mmm LEVEL file.go:line text`. Where a recording shows the place in Kuscia's source, the
line names that place; other lines name the module of the stand-in.
"""

import logging
import sys
import time
from pathlib import Path

LEVEL_NAMES = {logging.WARNING: "WARN", logging.CRITICAL: "FATAL"}


class KusciaFormatter(logging.Formatter):
    """Formats records like Kuscia; `extra={"where": "start/manager.go:183"}` names the place."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        level = LEVEL_NAMES.get(record.levelno, record.levelname)
        where = getattr(record, "where", None) or f"{record.module}.py:{record.lineno}"
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return f"{moment}.{int(record.msecs):03d} {level} {where} {text}"


class Log:
    """A logger whose first argument is the place to name; empty for the caller's file and line."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def info(self, where: str, text: str) -> None:
        self._write(logging.INFO, where, text)

    def warning(self, where: str, text: str) -> None:
        self._write(logging.WARNING, where, text)

    def error(self, where: str, text: str) -> None:
        self._write(logging.ERROR, where, text)

    def fatal(self, where: str, text: str) -> None:
        """Write the line only; the caller ends the process with status 1."""
        self._write(logging.CRITICAL, where, text)

    def _write(self, level: int, where: str, text: str) -> None:
        self._logger.log(level, "%s", text, extra={"where": where} if where else None, stacklevel=3)


def setup(home: Path, level: str) -> None:
    """Send the log to stdout and var/logs/kuscia.log below `home`; unknown levels mean INFO."""
    directory = home / "var/logs"
    directory.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    for handler in (logging.StreamHandler(sys.stdout), logging.FileHandler(directory / "kuscia.log")):
        handler.setFormatter(KusciaFormatter())
        root.addHandler(handler)
    named = {"DEBUG": logging.DEBUG, "WARN": logging.WARNING, "ERROR": logging.ERROR}
    root.setLevel(named.get(level.upper(), logging.INFO))
    for chatty in ("aiohttp.access", "asyncio", "kubernetes_asyncio", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def say(text: str) -> None:
    """Print a line without the log's prefix, as Kuscia does before its log is set up."""
    print(text, flush=True)
