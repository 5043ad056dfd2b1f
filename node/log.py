"""Structured logs: one JSON object a line, or a plain line for a console."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: _plain(value) for key, value in sorted(vars(record).items()) if key not in _STANDARD}


def _plain(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC seconds), level, component, message, and the record's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "component": record.name,
            "message": record.getMessage(),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class ConsoleFormatter(logging.Formatter):
    """A line for a person: time, level, component, message and fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one readable line (and the traceback, if there is one)."""
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {record.name}: {record.getMessage()}"
        line = f"{line} {fields}"
        return line.rstrip() + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def configure(*, level: str, form: str) -> None:
    """Send every component's records to stderr.

    Args:
        level: "debug", "info", "warning" or "error".
        form: "json" or "console".
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
