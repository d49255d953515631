"""The JSON form of the log: one object per line with time, level, message, error_id and fix."""

import logging
import time
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from kuscia_hooks.core.redaction import redact


class RedactingJsonFormatter(JsonFormatter):
    """Formats a record as JSON. Secrets are removed before JSON escapes them."""

    def __init__(self) -> None:
        super().__init__(json_ensure_ascii=False)

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        log_data["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        log_data["level"] = record.levelname.lower()
        log_data["message"] = redact(record.getMessage())
        if message_dict.get("exc_info"):
            log_data["traceback"] = redact(str(message_dict["exc_info"]))
        for name in ("error_id", "fix", "see"):
            if getattr(record, name, ""):
                log_data[name] = redact(getattr(record, name))
