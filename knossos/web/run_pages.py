"""``/runs``: the runs of a visitor, and for each a page with its output, how it ended, and its files.

A run is its owner's and the operators'; whoever was given a link with the token of its job sees it, too, which is how
those see theirs who are not logged in. For all others it does not exist. What a script wrote is a stranger's: files are
downloads that no browser shows, and output that is HTML is a page of its own in a sandbox, without an origin, without
scripts, and without anything from elsewhere.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from itertools import chain
from typing import Any

from flask import Blueprint, Response, g, jsonify, make_response, redirect, render_template, request, url_for

from knossos.accounts import Session
from knossos.accounts.access import owner_of_account
from knossos.errors import InvalidInput, NotFound
from knossos.jobs import JobNotFound, JobRecord
from knossos.scripting.access import caller_of, may_execute, may_see_calculations
from knossos.scripting.catalogue import BrokenScript, NoSuchScript, Script
from knossos.scripting.credentials import scope_to_see
from knossos.scripting.plan import FileRole, RunKind
from knossos.scripting.run_records import NoSuchRun, Run
from knossos.settings import ROOT
from knossos.web.addresses import websocket_base
from knossos.web.authentication import (
    current_session,
    page_account,
    take_own_forms_only,
    task_token,
    token_holder,
)
from knossos.web.run_kinds import kind_of
from knossos.web.run_views import ending_of, file_name, file_views, plain_text, runtime_of, state_of
from knossos.web.schedule_links import about_run
from knossos.web.security import keep_private
from knossos.web.services import services
from knossos.web.stored_answers import attachment, stored_answer
from knossos.web.task_views import KIND_NAMES, STATE_NAMES

#: Runs on a page of the history.
PAGE = 50
#: Bytes of each output that its page shows without scripts: its end.
TAIL_BYTES = 100_000
#: Events of a run that are read at a time.
EVENTS_AT_ONCE = 500

#: What output that is HTML may do: be looked at, and lead elsewhere in a window of its own.
SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
OUTPUT_HEADERS = {
    "Content-Security-Policy": (
        f"sandbox {SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STYLE = (ROOT / "static" / "css" / "script_output.css").read_text("utf-8")
_BEFORE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Output</title><base target="_blank">'
    f"<style>{_STYLE}</style></head><body>"
).encode()

blueprint = Blueprint("run_pages", __name__)
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)


# --- whose it is -----------------------------------------------------------------------------------------


def visible_run(run_id: str) -> tuple[Run, JobRecord | None]:
    """A run that the visitor may see, and its job while the engine has it.

    Raises:
        NoSuchRun: there is none, or it is somebody else's.
        AccessDenied: a token in a header is not good, or lacks the scope.
    """
    run = services().scripting.runs.get(run_id)
    record = _record_of(run)
    if _has_token(record) or _is_ones_own(run):
        return run, record
    # In the same words as for one that is not there.
    raise NoSuchRun("There is no such run (any more).", run_id=run_id)


def visible_run_of(kind: RunKind, run_id: str) -> Run:
    """The same for one of a kind. Raises NoSuchRun, AccessDenied."""
    found, _ = visible_run(run_id)
    if found.kind is not kind:
        raise NoSuchRun("There is no such run (any more).", run_id=run_id)
    return found


def _is_ones_own(run: Run) -> bool:
    holder = token_holder()
    session = current_session() if holder is None else holder.session
    if not _may_see(run, session):
        return False
    if holder is not None:
        holder.require(scope_to_see(run.kind))
    return True


def _may_see(run: Run, session: Session | None) -> bool:
    if run.kind is RunKind.CALCULATION:
        caller = caller_of(None if session is None else session.account)
        if may_see_calculations(caller, services().settings):
            return True
    return session is not None and (session.is_operator or run.owner == owner_of_account(session.name))


def _has_token(record: JobRecord | None) -> bool:
    token = task_token()
    if record is None or not token or not record.token:
        return False
    return hmac.compare_digest(record.token.encode(), token.encode("utf-8", "surrogatepass"))


def _record_of(run: Run) -> JobRecord | None:
    try:
        return None if run.ticket is None else services().engine.find(run.ticket)
    except JobNotFound:
        return None


def run_address(run: Run, record: JobRecord | None) -> str:
    """The page of a run; with its token where the visitor has nothing else to show."""
    token = None if record is None or _is_ones_own(run) else record.token
    return url_for("run_pages.run", run_id=run.run_id, token=token)


# --- pages -----------------------------------------------------------------------------------------------


@blueprint.get("/runs")
def runs() -> str:
    visitor = page_account()
    everyone = visitor.is_operator and request.args.get("of") == "everyone"
    before = request.args.get("before", type=float)
    owner = None if everyone else owner_of_account(visitor.name)
    found = services().scripting.runs.history(owner, before, PAGE + 1)
    rows = [
        (run, state_of(run, _record_of(run) if run.outcome is None else None), _listed_title(run))
        for run in found[:PAGE]
    ]
    return render_template(
        "scripts/runs.html",
        rows=rows,
        everyone=everyone,
        operator=visitor.is_operator,
        older=repr(found[PAGE - 1].created_at) if len(found) > PAGE else None,
        paged=before is not None,
        state_names=STATE_NAMES,
        kind_names=KIND_NAMES,
        ending_of=ending_of,
        runtime_of=runtime_of,
        now=time.time(),
    )


@blueprint.get("/runs/<run_id>")
def run(run_id: str) -> str:
    found, record = visible_run(run_id)
    g.shows_frames = True
    state, script = state_of(found, record), _script_of(found)
    kind = kind_of(found)
    shown: dict[str, Any] = {
        "run": found,
        "area": kind.area,
        "record": record,
        "title": _title(found, record, script),
        "state": state,
        "state_names": STATE_NAMES,
        "ending": ending_of(found),
        "runtime": runtime_of(found, time.time()),
        "files": file_views(found.files),
        "html": _is_html(script),
        "sandbox": SANDBOX,
        "stdout": _end_of(found, FileRole.STDOUT),
        "stderr": _end_of(found, FileRole.STDERR),
        "numbers": {role.value: file.number for role in FileRole if (file := found.file(role)) is not None},
        "again": _again(found, script),
        "token": task_token(),
        "token_query": {"token": task_token() or None},
        "sockets": websocket_base(services().settings, request.scheme, request.host),
        "now": time.time(),
    }
    return render_template(kind.template, **{**shown, **about_run(found), **kind.about(found, record)})


@blueprint.post("/runs/<run_id>/cancel")
def cancel(run_id: str) -> Response:
    found, record = visible_run(run_id)
    session = current_session()
    reason = f"Cancelled by {session.name}." if session else "Cancelled on its page by somebody who has its link."
    if record is None or record.state.finished or not services().engine.cancel(record.ticket, reason):
        raise InvalidInput("This run has ended already.")
    return make_response(redirect(run_address(found, record), 303))


@blueprint.get("/api/runs/<run_id>")
def about(run_id: str) -> Response:
    """A run for programs, and for the forms of other pages (``static/form_elements.js``)."""
    found, record = visible_run(run_id)
    token: dict[str, Any] = {"token": task_token() or None}
    address = websocket_base(services().settings, request.scheme, request.host)
    files = [
        {"kind": file.role, "name": file.name, "size": file.size, "url": _file_address(found, file.number)}
        for file in found.files
    ]
    return jsonify(
        id=found.run_id,
        ticket=found.ticket,
        name=found.name,
        state=state_of(found, record),
        outcome=found.outcome,
        exit_code=found.exit_code,
        signal=found.signal,
        error=found.error,
        dropped_bytes=found.dropped_bytes,
        output="html" if _is_html(_script_of(found)) else "text",
        files=files,
        page=url_for("run_pages.run", run_id=run_id, **token),
        html=url_for("run_pages.output", run_id=run_id, **token),
        events=None if record is None else url_for("task_feeds.events", ticket=record.ticket),
        socket=None if record is None else f"{address}/ws/inter/{record.ticket}",
    )


def _title(found: Run, record: JobRecord | None, script: Script | None) -> str:
    return record.title if record is not None else script.title if script is not None else found.name


def _listed_title(found: Run) -> str:
    """What a run is called in a list: people's own scripts are all run by one program."""
    return services().home_scripts.title(found.run_id) if found.kind is RunKind.HOME else found.name


def _script_of(found: Run) -> Script | None:
    """The script that ran, as it is now; None where it is not there any more."""
    try:
        return services().scripting.catalogue.find(found.name) if found.kind is RunKind.SCRIPT else None
    except (NoSuchScript, BrokenScript):
        return None


def _end_of(found: Run, role: FileRole) -> str:
    """The end of a kept text, for those who see the page without scripts."""
    kept = found.file(role)
    if kept is None or not kept.size:
        return ""
    start = max(0, kept.size - TAIL_BYTES)
    text = b"".join(services().scripting.storage.read(kept.key, start)).decode("utf-8", "replace")
    return plain_text("\N{HORIZONTAL ELLIPSIS}" + text if start else text)


def _is_html(script: Script | None) -> bool:
    return script is not None and script.metadata.output == "html"


def _again(found: Run, script: Script | None) -> str:
    """Where the visitor runs it once more; "" where that cannot be."""
    session = current_session()
    caller = caller_of(None if session is None else session.account)
    if script is None or not may_execute(caller, script.name, services().settings):
        return ""
    return url_for("script_pages.script", name=script.name, again=found.run_id, token=task_token() or None)


# --- what it left ----------------------------------------------------------------------------------------


@blueprint.get("/runs/<run_id>/files/<int:number>")
def file(run_id: str, number: int) -> Response:
    found, _ = visible_run(run_id)
    kept = next((one for one in found.files if one.number == number), None)
    if kept is None:
        raise NotFound("This run has no such file.")
    is_text = kept.role in (FileRole.STDOUT, FileRole.STDERR)
    kind = "text/plain; charset=utf-8" if is_text else "application/octet-stream"
    response = stored_answer(services().scripting.storage, kept.key, content_type=kind, cache="no-store")
    # It is for this visitor alone, whatever other sites may have of other files.
    for name in ("Access-Control-Allow-Origin", "Cross-Origin-Resource-Policy"):
        response.headers.pop(name, None)
    response.headers["Content-Disposition"] = attachment(file_name(kept))
    return response


@blueprint.get("/runs/<run_id>/output.html")
def output(run_id: str) -> Response:
    """Standard output as the page that it is meant to be, as far as it has come."""
    found, record = visible_run(run_id)
    if not _is_html(_script_of(found)):
        raise NotFound("The output of this script is plain text.")
    page = chain((_BEFORE,), _standard_output(found, record), (b"</body></html>",))
    return Response(page, content_type="text/html; charset=utf-8", headers=OUTPUT_HEADERS)


def _standard_output(found: Run, record: JobRecord | None) -> Iterable[bytes]:
    kept = found.file(FileRole.STDOUT)
    if kept is not None:
        return services().scripting.runs.read(kept)
    return [] if record is None else [text.encode("utf-8", "replace") for text in _written(record.ticket)]


def _written(ticket: int) -> list[str]:
    """What the run has written to its standard output so far. A run that was started again begins anew."""
    after, texts = "0-0", list[str]()
    while events := services().engine.events(ticket, after=after, count=EVENTS_AT_ONCE):
        after = events[-1].id
        for event in events:
            if event.type == "output" and event.data.get("stream") == FileRole.STDOUT:
                texts.append(str(event.data.get("text", "")))
            elif event.type == "state" and event.data.get("state") == "retrying":
                texts.clear()
    return texts


def _file_address(found: Run, number: int) -> str:
    more: dict[str, Any] = {"token": task_token() or None}
    return url_for("run_pages.file", run_id=found.run_id, number=number, **more)
