"""What pages are told of a task: pure functions from records to JSON-ready data. A token is never part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knossos.jobs import JobFailure, JobRecord
from knossos.web.advice import advice_for

#: Most values that are shown of one fact about a failure.
MAX_VALUES = 20

#: What a detail of a failure is called on the page; others get their own name.
_FACT_NAMES = {
    "archive": "Archive",
    "entry": "Entry",
    "errors": "Problems",
    "file": "File",
    "filename": "File",
    "links": "Links",
    "path": "Path",
    "paths": "Paths",
    "tried": "Links tried",
    "url": "Link",
    "urls": "Links",
}


def task_view(record: JobRecord) -> dict[str, Any]:
    """A task with all that its own page shows."""
    fraction, text = record.progress or (None, None)
    return {
        "ticket": record.ticket,
        "kind": record.kind,
        "title": record.title,
        "state": record.state.value,
        "attempt": record.attempt,
        "attempts": record.attempts,
        "created": record.created_at,
        "changed": record.changed_at,
        "started": record.started_at,
        "ended": record.ended_at,
        "fraction": fraction,
        "text": text,
        "failure": failure_view(record.failure) if record.failure else None,
    }


def row_view(record: JobRecord, watch_url: str) -> dict[str, Any]:
    """A task as a row of the list. Nothing in it changes by itself as time passes, so its ETag holds."""
    fraction, text = record.progress or (None, None)
    return {
        "ticket": record.ticket,
        "kind": record.kind,
        "title": record.title,
        "state": record.state.value,
        "created": record.created_at,
        "started": record.started_at,
        "ended": record.ended_at,
        "fraction": fraction,
        "text": text,
        "message": record.failure.message if record.failure else None,
        "watch": watch_url,
    }


def failure_view(failure: JobFailure) -> dict[str, Any]:
    """A failure for people: what happened, which file and which link, and what to do."""
    return {
        "code": failure.code,
        "message": failure.message,
        "facts": facts(failure.details),
        "advice": advice_for(failure.code),
    }


def facts(details: Mapping[str, Any]) -> dict[str, list[str]]:
    """The details of a failure as named lists of short texts."""
    found: dict[str, list[str]] = {}
    for name, value in details.items():
        values = value if isinstance(value, list | tuple) else [value]
        texts = [_text(one) for one in values if one is not None and one != ""][:MAX_VALUES]
        if texts:
            found.setdefault(_FACT_NAMES.get(name, name.replace("_", " ").capitalize()), []).extend(texts)
    return found


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ": ".join(str(part) for part in value.values() if part not in (None, ""))
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)
