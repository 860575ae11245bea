"""How the processes log: one line per event to stderr, as text for people or as JSON for programs.

What always holds: an event is one line, whatever was put into it; a line break in a message or a stack trace is
written as ``\\n`` in JSON and as `` | `` in text, so that nobody can forge an entry by what they send.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import TextIO

from knossos import tally, tracing
from knossos.settings import Settings

#: What every record has; anything else in a record came with ``extra=``.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

#: Libraries that speak at INFO of each request or job, which we log ourselves, of each of their own parts, or of how
#: they look, each time that somebody asks whether the tables are up to date.
_TALKATIVE = ("rq", "urllib3", "tornado.access", "asyncio", "alembic.runtime.plugins", "alembic.runtime.migration")


def configure_logging(settings: Settings, process: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to stderr.

    Args:
        settings: LOG_FORMAT and LOG_LEVEL count.
        process: a short name of the process, which stands in each line ("web", "ws", "worker", "cron").
        stream: where to write instead of stderr.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(_add_ids)
    handler.setFormatter(JsonFormatter(process) if settings.log_format == "json" else TextFormatter(process))
    tally.name_process(process)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def _add_ids(record: logging.LogRecord) -> bool:
    """Say in each line for which request and which job it was written, where the line does not say it itself."""
    for name, value in tracing.ids().items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


class TextFormatter(logging.Formatter):
    """``2031-05-01 12:00:00.123 INFO ws: a watcher connects ticket=17``"""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        parts = [f"{moment}.{int(record.msecs):03d} {record.levelname} {self._process}: {record.getMessage()}"]
        parts += [f"{name}={value}" for name, value in extras(record).items()]
        stack = stack_of(self, record)
        if stack:
            parts.append(f"| {stack}")
        return " | ".join(" ".join(parts).splitlines())


class JsonFormatter(logging.Formatter):
    """One JSON object: ``time`` (ISO 8601, UTC), ``level``, ``process``, ``logger``, ``message``, extras, ``stack``."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        stack = stack_of(self, record)
        if stack:
            entry["stack"] = stack
        return json.dumps(entry, default=str)


def extras(record: logging.LogRecord) -> dict[str, object]:
    """Return what was given with ``extra=``, such as the ticket of a job."""
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _USUAL and not name.startswith("_") and value is not None
    }


def stack_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """Return the stack trace that belongs to a record, or nothing."""
    return formatter.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
