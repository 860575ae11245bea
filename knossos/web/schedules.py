"""``/api/schedules`` and ``/api/runs/<id>/notice``: what is run at a time or again and again, and who is told."""

from __future__ import annotations

import time

from flask import Blueprint, Response, jsonify, request, url_for

from knossos.accounts import Account
from knossos.accounts.access import owner_of_account
from knossos.accounts.tokens import Scope
from knossos.errors import KnossosError
from knossos.scripting.access import caller_of, may_see_calculations
from knossos.scripting.calls import NotLoggedIn
from knossos.scripting.notices.content import signing_key
from knossos.scripting.notices.notices import RunIsOver
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import NoSuchRun, Run
from knossos.scripting.schedules.states import StillRunning, TooManySchedules
from knossos.scripting.schedules.when import When, next_times, read_cron
from knossos.scripting.schedules.wish import Problems, read_wanted
from knossos.scripting.schedules.words import in_words, local_time
from knossos.web.errors import answer
from knossos.web.schedule_documents import firing_document, schedule_document, wanted_document
from knossos.web.script_server.blueprint import iso
from knossos.web.script_server.callers import caller, json_object
from knossos.web.services import services

#: Times that a preview has.
PREVIEW = 5

blueprint = Blueprint("schedules", __name__)


def _not_logged_in(error: KnossosError) -> Response:
    return answer(401, error.code, error.message)


def _conflict(error: KnossosError) -> Response:
    return answer(409, error.code, error.message)


blueprint.register_error_handler(NotLoggedIn, _not_logged_in)
for _kind in (RunIsOver, StillRunning, TooManySchedules):
    blueprint.register_error_handler(_kind, _conflict)


@blueprint.before_request
def _allow_scripts_and_inputs() -> None:
    settings = services().settings
    # As JSON a byte may take six.
    request.max_content_length = 6 * max(settings.max_script_bytes, settings.calculation_input_bytes)


def _account() -> Account:
    """Who asks. A token needs both scopes, since a schedule may run what either of them allows."""
    return caller(Scope.RUN, Scope.SCRIPTS)


@blueprint.get("/api/schedules")
def listed() -> Response:
    account = _account()
    found = services().scheduling.schedules.of_account(account)
    key = signing_key(services().settings, account.user_id)
    return jsonify(schedules=[schedule_document(one) for one in found], signing_key=key)


@blueprint.post("/api/schedules")
def create() -> tuple[Response, int]:
    account = _account()
    return jsonify(schedule_document(services().scheduling.schedules.create(account, json_object()))), 201


@blueprint.get("/api/schedules/times")
def times() -> Response:
    """When a cron expression comes next, for whoever is about to make a schedule of it."""
    _account()
    when = When(cron=read_cron(request.args.get("cron", "")), zone=request.args.get("zone", "UTC"))
    found = next_times(when, time.time(), PREVIEW)
    return jsonify(words=in_words(when), times=[{"at": iso(one), "local": local_time(one, when.zone)} for one in found])


@blueprint.get("/api/schedules/<schedule_id>")
def one(schedule_id: str) -> Response:
    return jsonify(schedule_document(services().scheduling.schedules.get(_account(), schedule_id)))


@blueprint.put("/api/schedules/<schedule_id>")
def change(schedule_id: str) -> Response:
    account = _account()
    return jsonify(schedule_document(services().scheduling.schedules.change(account, schedule_id, json_object())))


@blueprint.delete("/api/schedules/<schedule_id>")
def remove(schedule_id: str) -> Response:
    services().scheduling.schedules.remove(_account(), schedule_id)
    return jsonify(error=False)


@blueprint.post("/api/schedules/<schedule_id>/run")
def run_now(schedule_id: str) -> tuple[Response, int]:
    firing = services().scheduling.firings.run_now(_account(), schedule_id)
    return jsonify(run_id=firing.run_id, page=url_for("run_pages.run", run_id=firing.run_id)), 202


@blueprint.get("/api/schedules/<schedule_id>/runs")
def history(schedule_id: str) -> Response:
    found = services().scheduling.schedules.history(_account(), schedule_id)
    return jsonify(runs=[firing_document(one) for one in found])


@blueprint.get("/api/runs/<run_id>/notice")
def notice(run_id: str) -> Response:
    account = _account()
    return jsonify(wanted_document(services().scheduling.notices.of_run(account, _run_of(account, run_id).run_id)))


@blueprint.put("/api/runs/<run_id>/notice")
def ask(run_id: str) -> Response:
    account = _account()
    run, problems = _run_of(account, run_id), Problems()
    wanted = read_wanted(json_object(), problems, prefix="")
    problems.check()
    services().scheduling.notices.ask(account, run.run_id, wanted, run.name)
    return jsonify(wanted_document(wanted))


@blueprint.delete("/api/runs/<run_id>/notice")
def take_back(run_id: str) -> Response:
    account = _account()
    removed = services().scheduling.notices.take_back(account, _run_of(account, run_id).run_id)
    return jsonify(error=False, removed=removed)


def _run_of(account: Account, run_id: str) -> Run:
    """A run that the account may see. Programs say no origin, so it is not the pages' rule that tells.

    Raises:
        NoSuchRun
    """
    run, settings = services().scripting.runs.get(run_id), services().settings
    if account.is_operator or run.owner == owner_of_account(account.name):
        return run
    if run.kind is RunKind.CALCULATION and may_see_calculations(caller_of(account), settings):
        return run
    raise NoSuchRun("There is no such run (any more).", run_id=run_id)
