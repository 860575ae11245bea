"""``/jobs``: people's own scripts in the browser, to be written, sent, listed and ended (script-server.md).

Each has its page in `run_pages.py`. All of it goes by the same calls as ``/api/run`` and ``/api/jobs``, and works
without scripts of the browser; what was written is shown again with whatever kept it from being sent.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request, url_for

from knossos.accounts import Account
from knossos.errors import InvalidInput, KnossosError, SettingsError
from knossos.homes import OpenedFile
from knossos.homes.scripts import NotRunning, title_of
from knossos.jobs import Signal
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import new_run_id
from knossos.web.authentication import (
    current_session,
    page_account,
    refuse_runs,
    take_own_forms_only,
)
from knossos.web.errors import answer, status_of
from knossos.web.job_views import is_page, place_in_line, state_of_row
from knossos.web.notice_fields import FIELDS, accepting_of, wanted_of
from knossos.web.run_pages import visible_run_of
from knossos.web.run_views import ending_of, runtime_of
from knossos.web.schedule_links import can_be_mailed
from knossos.web.script_server.callers import whole_number
from knossos.web.security import keep_private
from knossos.web.services import services
from knossos.web.task_views import STATE_NAMES

#: Jobs on a page of the list.
PAGE = 50
#: Bytes of a form around the script.
FORM_BYTES = 64 * 1024

blueprint = Blueprint("job_pages", __name__)
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)
blueprint.add_app_template_global(is_page)
blueprint.add_app_template_global(place_in_line)
# A script sees what it may see of its caller's other scripts nowhere, as with /api/jobs.
blueprint.before_request(refuse_runs)


@blueprint.errorhandler(NotRunning)
def _not_running(error: NotRunning) -> Response:
    return answer(409, error.code, error.message)


# --- the list --------------------------------------------------------------------------------------------


@blueprint.get("/jobs")
def jobs() -> Response:
    """The newest jobs, or those before the job ``before``; with ``part=list`` only what changes, for `jobs.js`."""
    visitor, scripts = page_account(), services().home_scripts
    everyone = visitor.is_operator and request.args.get("of") == "everyone"
    before = whole_number("before")
    found = scripts.rows(visitor, everyone=everyone, before=before, limit=PAGE + 1)
    running, waiting = scripts.counts()
    is_part = request.args.get("part") == "list"
    page = render_template(
        "homes/job_list.html" if is_part else "homes/jobs.html",
        rows=found[:PAGE],
        older=found[PAGE - 1].run.ticket if len(found) > PAGE else None,
        paged=before is not None,
        before=before,
        everyone=everyone,
        operator=visitor.is_operator,
        running=running,
        waiting=waiting,
        settings=services().settings,
        state_names=STATE_NAMES,
        state_of=state_of_row,
        ending_of=ending_of,
        runtime_of=runtime_of,
        now=time.time(),
    )
    response = make_response(page)
    if is_part:
        # Not of the text: in that, times go on.
        about = (found, running, waiting, before, everyone)
        response.set_etag(hashlib.sha256(repr(about).encode()).hexdigest()[:32])
        response.make_conditional(request)
    return response


# --- a new one -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draft:
    """What the editor holds. ``source`` says where it comes from, "" for what was typed; ``error`` what is wrong."""

    text: str = ""
    source: str = ""
    error: str = ""
    status: int = 200
    #: What was asked to be told of its end, and what is wrong with that, by the fields' names.
    notice: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


@blueprint.get("/jobs/new")
def new() -> Response:
    visitor = page_account()
    if not services().settings.command:
        return _editor(Draft())
    try:
        return _editor(_first_draft(visitor))
    except KnossosError as error:
        where = "" if request.args.get("again") else f"{request.args['file']}: "
        return _editor(Draft(error=where + error.message, status=status_of(error)))


@blueprint.post("/jobs/new")
def send() -> Response:
    scripts, most = services().home_scripts, services().settings.max_script_bytes
    scripts.check_on()
    # Forms end lines with two characters.
    request.max_content_length = request.max_form_memory_size = 2 * most + FORM_BYTES
    text = request.form.get("script", "").replace("\r\n", "\n")
    file = request.files.get("file")
    script = file.read(most + 1) if file is not None and file.filename else text.encode("utf-8", "replace")
    session = current_session()
    if session is None:
        return _editor(Draft(text, error="You are not logged in any more. Log in in another tab, then send it here."))
    if len(script) > most:
        error = f"A script may have at most {most:,} bytes, and this one has more."
        return _editor(Draft(text, error=error, status=413))
    told, run_id = request.form.to_dict(), new_run_id()
    try:
        accepting = accepting_of(session.account, run_id, wanted_of(told), title_of(script))
        record = scripts.submit(session.account, script, run_id=run_id, accepting=accepting)
    except SettingsError:
        return _editor(Draft(text, error="This server is not set up rightly. Its log says why.", status=503))
    except KnossosError as error:
        wrong = {one["path"]: one["message"] for one in error.details.get("errors") or ()}
        said = next(
            (f"Tell me when it ends: {wrong[name]}" for name in wrong if name in FIELDS.values()), error.message
        )
        return _editor(Draft(text, error=said, status=status_of(error), notice=told, errors=wrong))
    return make_response(redirect(url_for("job_pages.job", ticket=record.ticket), 303))


def _first_draft(visitor: Account) -> Draft:
    """The script that the editor begins with: of an earlier job, or from a file of the visitor's home.

    Raises:
        NoSuchJob, and what opening a file of a home raises; InvalidInput for one that is no text.
    """
    if which := request.args.get("again", ""):
        run = services().home_scripts.earlier(visitor, which)
        return Draft(_as_text(services().home_scripts.script(run.run_id)), f"This is the script of job {run.ticket}.")
    if path := request.args.get("file", ""):
        return Draft(_as_text(_file_of_home(visitor, path)), f"This is {path} of your home.")
    return Draft()


def _file_of_home(visitor: Account, path: str) -> bytes:
    most = services().settings.max_script_bytes
    with services().homes.open(visitor.user_id) as home:
        found = home.open(path)
    try:
        if not isinstance(found, OpenedFile):
            raise InvalidInput("This is a folder: expected a file.")
        if found.size > most:
            raise InvalidInput(f"It has {found.size:,} bytes: a script may have at most {most:,}.")
        return b"".join(found.read(0, found.size))
    finally:
        found.close()


def _as_text(script: bytes) -> str:
    try:
        text = script.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("It is no text in UTF-8, so it cannot be edited here.") from error
    if "\0" in text:
        raise InvalidInput("It is no text, so it cannot be edited here.")
    return text


def _editor(draft: Draft) -> Response:
    settings, session = services().settings, current_session()
    page = render_template(
        "homes/new_job.html",
        draft=draft,
        notice=draft.notice,
        errors=draft.errors,
        can_mail=session is not None and can_be_mailed(session.account),
        settings=settings,
        interpreter=settings.command.rpartition("/")[2],
    )
    return make_response(page, draft.status)


# --- one of them -----------------------------------------------------------------------------------------


@blueprint.get("/jobs/<ticket:ticket>")
def job(ticket: int) -> Response:
    """To the page of a job, by the number that programs are told."""
    found = services().home_scripts.earlier(page_account(), str(ticket))
    return make_response(redirect(url_for("run_pages.run", run_id=found.run_id), 303))


@blueprint.post("/runs/<run_id>/signal")
def signal(run_id: str) -> Response:
    visitor, command = page_account(), request.form.get("command", "")
    if command not in list(Signal):
        raise InvalidInput('command: expected "terminate" or "kill"')
    found = services().home_scripts.earlier(visitor, run_id)
    if found.ticket is None:
        raise NotRunning("This job does not run yet.")
    services().home_scripts.signal(visitor, found.ticket, Signal(command))
    return make_response(redirect(url_for("run_pages.run", run_id=run_id), 303))


@blueprint.get("/runs/<run_id>/place")
def place(run_id: str) -> Response:
    """What a job waits for, in words; "" where it does not wait."""
    run, scripts = visible_run_of(RunKind.HOME, run_id), services().home_scripts
    return jsonify(words=place_in_line(scripts.waiting_before(run), scripts.waits_for_own(run)))


@blueprint.get("/runs/<run_id>/script")
def script(run_id: str) -> Response:
    """The script, byte for byte, as a download."""
    found = visible_run_of(RunKind.HOME, run_id)
    response = make_response(services().home_scripts.script(found.run_id))
    response.mimetype = "text/plain"
    response.headers.set("Content-Disposition", "attachment", filename=f"script-{found.ticket}.txt")
    return response
