"""Schedules as JSON and as the fields of a form: pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from knossos.scripting.notices.states import Wanted
from knossos.scripting.plan import RunKind
from knossos.scripting.schedules.states import Firing, Schedule
from knossos.scripting.schedules.words import in_words
from knossos.web.script_server.blueprint import iso


def schedule_document(schedule: Schedule) -> dict[str, Any]:
    """A schedule as programs see it."""
    kind, when = schedule.kind, schedule.when
    return {
        "id": schedule.schedule_id,
        "name": schedule.name,
        "kind": kind,
        "script": schedule.target if kind is RunKind.SCRIPT else None,
        "arguments": list(schedule.arguments),
        "form": schedule.form,
        "path": schedule.target or None if kind is RunKind.HOME else None,
        "calculation": schedule.target if kind is RunKind.CALCULATION else None,
        "at": iso(when.at),
        "cron": when.cron or None,
        "zone": when.zone,
        "words": in_words(when),
        "enabled": schedule.is_on,
        "next": iso(schedule.next_at),
        "stopped": schedule.stopped,
        "notices": wanted_document(schedule.notices),
        "created": iso(schedule.created_at),
        "last": None if schedule.last is None else firing_document(schedule.last),
    }


def firing_document(firing: Firing) -> dict[str, Any]:
    """A time that a schedule came to."""
    return {
        "due": iso(firing.due_at),
        "state": firing.state,
        "text": firing.text,
        "by_hand": firing.by_hand,
        "run_id": firing.run_id,
        "outcome": firing.outcome,
        "exit_code": firing.exit_code,
        "ended": iso(firing.ended_at),
    }


def wanted_document(wanted: Wanted) -> dict[str, Any]:
    return {"when": wanted.when, "mail": wanted.mail, "webhook": wanted.webhook or None}


def wish_of_form(form: Mapping[str, str]) -> dict[str, Any]:
    """What the form of a page sends, as programs would have said it."""
    kind = form.get("kind", "")
    found: dict[str, Any] = {"name": form.get("name", ""), "kind": kind, "zone": form.get("zone", "").strip()}
    if kind == RunKind.SCRIPT:
        found["script"] = form.get("script", "")
        if form.get("form"):
            found["form"] = _values(form["form"])
        else:
            found["arguments"] = [line for line in form.get("arguments", "").splitlines() if line]
    elif kind == RunKind.HOME:
        found |= {name: form[name] for name in ("path", "job") if form.get(name)}
    elif kind == RunKind.CALCULATION:
        found["calculation"] = form.get("calculation", "").strip()
    which = "cron" if form.get("repeats") == "cron" else "at"
    found[which] = form.get(which, "").strip()
    webhook = form.get("webhook", "").strip()
    found["notices"] = {"when": form.get("when", "never"), "mail": "mail" in form, "webhook": webhook or None}
    return found


def _values(text: str) -> Any:
    """The values of a script's form, which its page has put into a hidden field; what is no JSON is refused as such."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def in_short(value: Any) -> str:
    """A value of a script's form, for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(in_short(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {in_short(one)}" for name, one in value.items() if one not in (None, ""))
    return str(value)
