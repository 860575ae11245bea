"""``POST /scripting``: call a script, and wait for what comes of it, or do not (``Prefer: respond-async``).

The run is a job like any other: whoever stops waiting, or goes away, does not end it. A server that is stopped
meanwhile answers as if nobody had wanted to wait.
"""

from __future__ import annotations

import logging
import re

from flask import Response, request, url_for

from knossos.accounts.tokens import Scope
from knossos.jobs import JobNotFound
from knossos.scripting.access import Caller
from knossos.scripting.arguments import ScriptCall, fields_of
from knossos.scripting.calls import NotLoggedIn, Started
from knossos.scripting.catalogue import Script
from knossos.scripting.plan import FileRole
from knossos.web.linkahead import documents
from knossos.web.linkahead.blueprint import blueprint, xml
from knossos.web.linkahead.callers import caller
from knossos.web.linkahead.reading import read_call
from knossos.web.services import services
from knossos.web.waiting import wait_for

#: Seconds for which a run may be on its way before and after its time: in the queue, being cleaned up.
WAIT_MORE_SECONDS = 60.0

_ASYNC = re.compile(r"(^|,)\s*respond-async\s*($|[,;])", re.IGNORECASE)

_log = logging.getLogger(__name__)


@blueprint.post("/scripting")
def call_script() -> Response:
    settings, scripting, who = services().settings, services().scripting, caller(Scope.RUN)
    request.max_content_length = settings.max_content_length
    if not who.can_run_something(settings):
        raise NotLoggedIn("Log in to run scripts.")
    if _ASYNC.search(request.headers.get("Prefer", "")):
        call, _, started = _start(who)
        return _accepted(call, started, preferred=True)
    with services().seats.taken(who.owner if who.account else f"address:{request.remote_addr}"):
        call, script, started = _start(who)
        seconds = script.metadata.limits.timeout_seconds or settings.script_timeout_seconds
        try:
            longest = seconds + WAIT_MORE_SECONDS
            wait_for(services().engine, started.record.ticket, longest, stopping=services().stopping)
        except JobNotFound:
            _log.warning("run %s: its task was removed while a request waited for it", started.run.run_id)
    run = scripting.runs.get(started.run.run_id)
    if run.outcome is None:
        return _accepted(call, started, preferred=False)
    output = scripting.runs.text(run, FileRole.STDOUT), scripting.runs.text(run, FileRole.STDERR)
    return xml(documents.script(call, run, *output))


def _start(who: Caller) -> tuple[ScriptCall, Script, Started]:
    """Read the call and set it going. Where it is refused, nothing of it stays."""
    scripting = services().scripting
    with scripting.receive() as files:
        call = read_call(fields_of(scripting.settings), files, lambda name: scripting.find_for(who, name))
        script = scripting.find_for(who, call.name)
        started = scripting.start(script, who, call.arguments, files.complete())
    _log.info("%s runs %s as task %d", who.name, script.name, started.record.ticket)
    return call, script, started


def _accepted(call: ScriptCall, started: Started, *, preferred: bool) -> Response:
    """202: where to look for what comes of it."""
    ticket, token = started.record.ticket, started.record.token
    page = url_for("pages.watch", ticket=ticket, token=token)
    status = url_for("task_feeds.task", ticket=ticket, token=token)
    answer = xml(documents.accepted(call, started.run, token=token, status=status, page=page), 202)
    answer.headers["Location"] = page
    if preferred:
        answer.headers["Preference-Applied"] = "respond-async"
    return answer
