"""``/schedules``: a visitor's schedules, a form for a new one and for changing one, and being told of a run's end.

Whole without scripts of the browser; with them the next times of a cron expression are shown as it is typed.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from knossos.accounts import Account
from knossos.errors import InvalidInput, KnossosError
from knossos.scripting.access import Caller, caller_of, may_see_calculations
from knossos.scripting.notices.content import signing_key
from knossos.scripting.plan import RunKind
from knossos.scripting.schedules.states import Schedule
from knossos.scripting.schedules.when import zone_names
from knossos.scripting.schedules.wish import Problems, read_wanted
from knossos.scripting.schedules.words import in_words, local_time, shown_zone
from knossos.web.authentication import page_account, take_own_forms_only
from knossos.web.run_pages import visible_run
from knossos.web.schedule_documents import in_short, wish_of_form
from knossos.web.schedule_links import can_be_mailed
from knossos.web.security import keep_private
from knossos.web.services import services

#: Bytes of a form around the input of a calculation.
FORM_BYTES = 512 * 1024

blueprint = Blueprint("schedule_pages", __name__)
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)


@blueprint.get("/schedules")
def schedules() -> str:
    account = page_account()
    return render_template(
        "schedules/list.html",
        schedules=services().scheduling.schedules.of_account(account),
        signing_key=signing_key(services().settings, account.user_id),
        in_words=in_words,
        local_time=local_time,
        error=request.args.get("error", "")[:300],
    )


@blueprint.get("/schedules/new")
def new() -> str:
    account = page_account()
    query = request.args
    kind = next((kind for kind, name in _PREFILLED if query.get(name)), RunKind.SCRIPT)
    values = {name: value for name, value in query.to_dict().items() if name != "form"}
    return schedule_form(account, {**values, "kind": kind, "arguments": "\n".join(query.getlist("args"))})


def schedule_form(account: Account, values: dict[str, Any]) -> str:
    """The page for a new schedule, with what is known of it already."""
    first = {"kind": RunKind.SCRIPT, "zone": "UTC", "repeats": "cron", "when": "failure"}
    return _form(account, {**first, **values}, None, {})


_PREFILLED = ((RunKind.HOME, "job"), (RunKind.HOME, "path"), (RunKind.CALCULATION, "calculation"))


@blueprint.post("/schedules/new")
def create() -> Response | tuple[str, int]:
    account, most = page_account(), services().settings.calculation_input_bytes
    request.max_content_length = FORM_BYTES + most
    file = request.files.get("input_file")
    try:
        sent = wish_of_form(request.form)
        if sent["kind"] == RunKind.CALCULATION and file is not None and file.filename:
            sent["input"] = _text_of(file.read(most + 1))
        made = services().scheduling.schedules.create(account, sent)
    except KnossosError as error:
        return _form(account, request.form.to_dict(), None, _errors(error)), 400
    return make_response(redirect(url_for("schedule_pages.schedule", schedule_id=made.schedule_id), 303))


@blueprint.get("/schedules/<schedule_id>")
def schedule(schedule_id: str) -> str:
    account = page_account()
    found = services().scheduling.schedules.get(account, schedule_id)
    return _form(account, _values(found), found, {})


@blueprint.post("/schedules/<schedule_id>")
def change(schedule_id: str) -> Response | tuple[str, int]:
    account = page_account()
    kept, sent = services().scheduling.schedules.get(account, schedule_id), wish_of_form(request.form)
    if kept.kind is RunKind.HOME and not kept.target:
        for name in ("kind", "path", "job"):
            sent.pop(name, None)
    elif kept.kind is RunKind.CALCULATION:
        for name in ("kind", "calculation"):
            sent.pop(name, None)
    elif kept.form is not None:
        for name in ("kind", "script", "arguments", "form"):
            sent.pop(name, None)
    try:
        services().scheduling.schedules.change(account, schedule_id, sent)
    except KnossosError as error:
        return _form(account, request.form.to_dict(), kept, _errors(error)), 400
    return _to_list()


@blueprint.post("/schedules/<schedule_id>/<action>")
def act(schedule_id: str, action: str) -> Response:
    """The buttons of the list: on, off, run, delete."""
    account, scheduling = page_account(), services().scheduling
    try:
        if action == "run":
            firing = scheduling.firings.run_now(account, schedule_id)
            return make_response(redirect(url_for("run_pages.run", run_id=firing.run_id), 303))
        if action == "delete":
            if request.form.get("confirmed") != "yes":
                found = scheduling.schedules.get(account, schedule_id)
                return make_response(render_template("schedules/delete.html", schedule=found, in_words=in_words))
            scheduling.schedules.remove(account, schedule_id)
        else:
            scheduling.schedules.change(account, schedule_id, {"enabled": action == "on"})
    except KnossosError as error:
        return _to_list(error=error.message)
    return _to_list()


@blueprint.post("/runs/<run_id>/notice")
def ask(run_id: str) -> Response:
    """The panel of a run's page."""
    account, problems = page_account(), Problems()
    run, record = visible_run(run_id)
    wanted = read_wanted(wish_of_form(request.form)["notices"], problems)
    problems.check()
    if wanted.channels():
        services().scheduling.notices.ask(account, run_id, wanted, run.name if record is None else record.title)
    else:
        services().scheduling.notices.take_back(account, run_id)
    return make_response(redirect(url_for("run_pages.run", run_id=run_id), 303))


def _text_of(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput.at("input", "expected text in UTF-8") from error


def _to_list(error: str = "") -> Response:
    return make_response(redirect(url_for("schedule_pages.schedules", error=error or None), 303))


def _errors(error: KnossosError) -> dict[str, str]:
    found = {one["path"]: one["message"] for one in error.errors} if isinstance(error, InvalidInput) else {}
    asked = "cron" if request.form.get("repeats") == "cron" else "at"
    if "at" in found and not request.form.get(asked, "").strip():
        # Of the two the form shows one, and to choose between them is no trouble of whoever fills it in.
        del found["at"]
        found[asked] = "fill this in"
    return found or {"": error.message}


def _values(found: Schedule) -> dict[str, Any]:
    """A schedule as the form has it."""
    when, wanted = found.when, found.notices
    at = ""
    if when.at is not None:
        at = datetime.fromtimestamp(when.at, shown_zone(when.zone)).strftime("%Y-%m-%dT%H:%M")
    values: dict[str, Any] = {
        **{"name": found.name, "kind": found.kind, "script": found.target, "path": found.target},
        **{"calculation": found.target, "arguments": "\n".join(found.arguments), "zone": when.zone, "at": at},
        **{"cron": when.cron, "repeats": "cron" if when.cron else "at", "when": wanted.when},
        **{"mail": "1" if wanted.mail else "", "webhook": wanted.webhook},
    }
    if found.form is not None:
        values["form"] = json.dumps(found.form, ensure_ascii=False)
    return values


def _filled(caller: Caller, values: dict[str, Any]) -> list[tuple[str, str]]:
    """What a script's form was filled in with, by the labels of its fields."""
    try:
        sent = json.loads(values.get("form") or "null")
        form = services().scripting.find_for(caller, values.get("script", "")).metadata.form
    except (ValueError, RecursionError, KnossosError):
        return []
    if not isinstance(sent, dict):
        return []
    known: dict[str, str] = {one.name: one.title for one in form.fields} if form is not None else {}
    return [
        (str(known.get(name, name)), in_short(value)) for name, value in sent.items() if value not in (None, "", [])
    ]


def _form(account: Account, values: dict[str, Any], found: Schedule | None, errors: dict[str, str]) -> str:
    settings, caller = services().settings, caller_of(account)
    kinds = [RunKind.SCRIPT] if services().scripting.scripts_for(caller) else []
    kinds += [RunKind.HOME] if settings.command else []
    kinds += [RunKind.CALCULATION] if may_see_calculations(caller, settings) else []
    firings = [] if found is None else services().scheduling.schedules.history(account, found.schedule_id)
    return render_template(
        "schedules/form.html",
        values=values,
        filled=_filled(caller, values),
        schedule=found,
        firings=firings,
        errors=errors,
        kinds=kinds,
        scripts=services().scripting.scripts_for(caller),
        zones=sorted(zone_names()),
        can_mail=can_be_mailed(account),
        local_time=local_time,
        in_words=in_words,
        now=time.time(),
    )
