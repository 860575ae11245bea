"""What pages are told of a task: pure functions from records to JSON-ready data. A token is never part of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knossos.jobs import Engine, JobFailure, JobRecord, JobState, overview
from knossos.web.advice import advice_for

#: What states are called on pages. The scripts have the same words.
STATE_NAMES = {
    JobState.QUEUED: "Waiting",
    JobState.RUNNING: "Running",
    JobState.SUCCEEDED: "Done",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
}
#: What kinds of tasks are called there.
KIND_NAMES = {
    "conversion": "Conversion",
    "release": "Release",
    "repository": "Repository",
    "webhook": "Webhook",
    "mail": "Mail",
    "script": "Script",
    "runner": "Runner",
    "calculation": "Calculation",
    "calculation-end": "End of a calculation",
    "home": "Own script",
}

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
#: Facts that are not repeated where the message names them.
_IN_THE_MESSAGE = ("archive", "file", "url")
#: What a task is at before it says so itself, and after its end.
_STAGES = {
    JobState.QUEUED: "Waits for a free worker.",
    JobState.RUNNING: "A worker has started this task.",
    JobState.SUCCEEDED: "Finished.",
}


def task_view(record: JobRecord, engine: Engine) -> dict[str, Any]:
    """A task with all that its own page shows."""
    held_up = overview.held_up(engine, record.queue) if record.state is JobState.QUEUED else ""
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
        "stage": held_up or stage_of(record),
        "failure": failure_view(record.failure) if record.failure else None,
    }


def row_view(record: JobRecord, watch_url: str) -> dict[str, Any]:
    """A task as a row of the list. Nothing in it changes by itself as time passes, so its ETag holds."""
    fraction, text = record.progress or (None, None)
    return {
        "ticket": record.ticket,
        "kind": record.kind,
        "kindName": KIND_NAMES.get(record.kind, record.kind),
        "title": record.title,
        "state": record.state.value,
        "created": record.created_at,
        "started": record.started_at,
        "ended": record.ended_at,
        "fraction": fraction,
        "text": text,
        "message": short_message(record.failure) if record.failure else None,
        "watch": watch_url,
    }


def stage_of(record: JobRecord) -> str:
    """One sentence on what the task is at, or on how it ended."""
    if record.failure:
        return first_line(record.failure.message)
    if record.state is JobState.RUNNING and record.progress:
        return record.progress[1]
    return _STAGES.get(record.state, "")


def short_message(failure: JobFailure) -> str:
    """A failure in one line, beginning with what matters: of a file whose only trouble is its links, their reasons."""
    match _reasons_in(failure):
        case [{"file": str(file), "links": [*links]}] if links:
            reasons = dict.fromkeys(_without_url(link) for link in links if isinstance(link, Mapping))
            return f"{file}: {'; '.join(reasons)}"
        case [first, *_] as reasons if len(reasons) > 1 and first.get("message"):
            return f"{first_line(str(first['message']))} (and {len(reasons) - 1} more)"
    return first_line(failure.message)


def first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]


def failure_view(failure: JobFailure) -> dict[str, Any]:
    """A failure for people: for each of its reasons which file and which link it was, and what to do."""
    found = _reasons_in(failure)
    shown = [_reason(reason) for reason in found[:MAX_SHOWN]]
    if not shown:
        shown = [{**_reason({**failure.details, "message": failure.message, "code": failure.code}), "message": ""}]
    advice = list(dict.fromkeys(reason["advice"] for reason in shown))
    if len(advice) == 1:
        shown = [{**reason, "advice": ""} for reason in shown]
    return {
        "code": failure.code,
        "message": failure.message,
        "reasons": shown,
        #: What to do, where that is the same for all reasons.
        "advice": advice[0] if len(advice) == 1 else "",
        "more": len(found) - len(shown) if found else 0,
    }


def _reasons_in(failure: JobFailure) -> list[Mapping[str, Any]]:
    """The reasons of a failure that has several, of files before those of mods."""
    lists = [failure.details.get(name) for name in ("files", "mods")]
    return [one for reasons in lists if isinstance(reasons, list) for one in reasons if isinstance(one, Mapping)]


def _reason(reason: Mapping[str, Any]) -> dict[str, Any]:
    message = str(reason.get("message", ""))
    return {
        # Where the links are listed below it, the text's own list of them, and what it advises, would be said twice.
        "message": first_line(message) if reason.get("links") else message,
        "facts": facts(reason, message),
        "advice": advice_for(str(reason.get("code", "")), reason),
    }


def facts(details: Mapping[str, Any], message: str = "") -> dict[str, list[str]]:
    """What is known of a failure, as named lists of short texts, without what the message says already."""
    found: dict[str, list[str]] = {}
    for name, title in _FACT_NAMES.items():
        value = details.get(name)
        if name in _IN_THE_MESSAGE and isinstance(value, str) and value in message:
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if texts := [_text(one) for one in values if one not in (None, "")][:MAX_SHOWN]:
            found[title] = texts
    return found


def _text(value: Any) -> str:
    if isinstance(value, Mapping) and isinstance(value.get("url"), str) and value["url"] in str(value.get("reason")):
        return str(value["reason"])
    if isinstance(value, Mapping):
        return ": ".join(str(part) for part in value.values() if part not in (None, ""))
    return str(value)


def _without_url(link: Mapping[str, Any]) -> str:
    """Why a link failed, in a text that is about its file: "the server answers 404"."""
    url, reason = str(link.get("url", "")), str(link.get("reason", ""))
    return reason.removeprefix(url).removeprefix(":").strip() or url
