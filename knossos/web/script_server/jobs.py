"""``/api/run`` and ``/api/jobs``: sending a script, and what becomes of it."""

from __future__ import annotations

from flask import Response, jsonify, request

from knossos.accounts.tokens import Scope
from knossos.errors import InvalidInput
from knossos.homes.scripts import title_of
from knossos.jobs import Signal
from knossos.scripting.run_records import new_run_id
from knossos.web.notice_fields import accepting_of, wanted_of
from knossos.web.script_server.blueprint import blueprint, iso
from knossos.web.script_server.callers import caller, json_object, whole_number
from knossos.web.services import services

#: Most jobs that one page of a list may have.
MAX_PAGE = 1000


@blueprint.post("/api/run")
def run() -> Response:
    account = caller(Scope.SCRIPTS)
    services().home_scripts.check_on()
    request.max_content_length = services().settings.max_script_bytes
    script, run_id = request.get_data(cache=False), new_run_id()
    accepting = accepting_of(account, run_id, wanted_of(request.args), title_of(script))
    record = services().home_scripts.submit(account, script, run_id=run_id, accepting=accepting)
    return jsonify(job_id=record.ticket)


@blueprint.get("/api/jobs")
def jobs() -> Response:
    account = caller(Scope.SCRIPTS)
    found = services().home_scripts.jobs(account, whole_number("before"), whole_number("limit", MAX_PAGE))
    return jsonify([{"job_id": job.ticket, "status": job.status, "user": job.user} for job in found])


@blueprint.get("/api/jobs/<ticket:job_id>")
def job(job_id: int) -> Response:
    found = services().home_scripts.job(caller(Scope.SCRIPTS), job_id)
    run = found.run
    return jsonify(
        job_id=found.ticket,
        script=found.script,
        user=found.user,
        out=found.out,
        err=found.err,
        start=iso(run.started_at),
        end=iso(run.ended_at),
        status=found.status,
        exit_code=run.exit_code,
        signal=run.signal,
        error=run.error,
        dropped_bytes=run.dropped_bytes,
        waiting_before=found.waiting_before,
    )


@blueprint.post("/api/jobs/<ticket:job_id>")
def signal(job_id: int) -> Response:
    account = caller(Scope.SCRIPTS)
    command = json_object().get("command")
    if command not in list(Signal):
        raise InvalidInput.at("command", 'expected "terminate" or "kill"')
    services().home_scripts.signal(account, job_id, Signal(command))
    return jsonify(job_id=job_id)
