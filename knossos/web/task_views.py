"""What pages are told of a task: pure functions from records to JSON-ready data. A token is never part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knossos.jobs import JobFailure, JobRecord
from knossos.web.advice import advice_for

#: Most reasons, and most values of one fact, that are shown.
MAX_SHOWN = 50

#: What a detail of a failure is called on the page. Others are for programs, or are in the message already.
_FACT_NAMES = {
    "archive": "Archive",
    "entry": "Entry",
    "file": "File",
    "mod": "Mod",
    "other": "Other entry",
    "package": "Package",
    "target": "Leads to",
    "url": "Link",
    "links": "Links",
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
    """A failure for people: for each of its reasons which file and which link it was, and what to do."""
    details = failure.details
    found = [reason for name in ("files", "mods") for reason in details.get(name) or [] if isinstance(reason, Mapping)]
    shown = [_reason(reason) for reason in found[:MAX_SHOWN]]
    return {
        "code": failure.code,
        "message": failure.message,
        "reasons": shown or [{**_reason({**details, "code": failure.code}), "message": ""}],
        "more": len(found) - len(shown) if found else 0,
    }


def _reason(reason: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "message": str(reason.get("message", "")),
        "facts": facts(reason),
        "advice": advice_for(str(reason.get("code", ""))),
    }


def facts(details: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is known of a failure, as named lists of short texts."""
    found: dict[str, list[str]] = {}
    for name, title in _FACT_NAMES.items():
        value = details.get(name)
        values = value if isinstance(value, list | tuple) else [value]
        if texts := [_text(one) for one in values if one not in (None, "")][:MAX_SHOWN]:
            found[title] = texts
    return found


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ": ".join(str(part) for part in value.values() if part not in (None, ""))
    return str(value)
