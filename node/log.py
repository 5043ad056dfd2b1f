"""Structured logs: one JSON object a line, or a plain line for a console."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
COMPONENTS = ("consensus", "evidence", "mempool", "node", "p2p", "rpc", "signer", "snapshot", "sync")
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


def configure(*, level: str, form: str, levels: Mapping[str, str] | None = None) -> None:
    """Send every component's records to stderr.

    Args:
        level: one of `LEVELS`.
        form: "json" or "console".
        levels: by component, for those that have one of their own.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else ConsoleFormatter())
    logging.getLogger().handlers[:] = [handler]
    set_levels(level, levels or {})
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def set_levels(level: str, levels: Mapping[str, str]) -> None:
    """Set the level of everything; the components in `levels` have their own, all others lose theirs."""
    logging.getLogger().setLevel(level.upper())
    for component in COMPONENTS:
        logging.getLogger(component).setLevel(levels[component].upper() if component in levels else logging.NOTSET)


def change_level(level: str, components: Iterable[str]) -> None:
    """Set the level of some components."""
    for component in components:
        logging.getLogger(component).setLevel(level.upper())


def effective_levels() -> dict[str, str]:
    """Return the level at which each component logs now."""
    return {
        component: logging.getLevelName(logging.getLogger(component).getEffectiveLevel()).lower()
        for component in COMPONENTS
    }
