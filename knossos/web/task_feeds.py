"""``/api/tasks/...``: what the pages ask for and send. Not a protocol for others, and free to change with the pages.

Whoever may watch a task sees it here; stopping it and having its result takes its token, its owner's session or an
operator's. A task that the caller may not see is answered as if it did not exist.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for

from knossos.accounts.access import OPEN_KIND, may_list_tasks, owner_of_account
from knossos.accounts.tokens import Scope
from knossos.errors import AccessDenied, InvalidInput, NotFound
from knossos.jobs.events import Event
from knossos.live.messages import BEGINNING, Style, Tale, encode, is_event_id, position
from knossos.web import captcha as captchas
from knossos.web.authentication import controlled_task, session_for, visiting_session, watched_task
from knossos.web.converter import KIND
from knossos.web.result_tree import result_tree
from knossos.web.services import services
from knossos.web.task_views import row_view, task_view

#: Tasks in one answer.
PAGE = 250
#: Events in one answer to a page that polls, and characters of what programs wrote.
MAX_EVENTS = 2000
MAX_OUTPUT_CHARS = 1_000_000
#: Longest answer to a question in characters.
MAX_ANSWER_CHARS = 1000

blueprint = Blueprint("task_feeds", __name__, url_prefix="/api/tasks")


@blueprint.get("")
def tasks() -> Response:
    """The newest tasks that the visitor may list, or those before the ticket ``before``."""
    before = request.args.get("before", type=int)
    owner, session = listed_owner(), session_for(Scope.READ)
    kind = OPEN_KIND if owner is None and not (session and session.is_operator) else None
    records = services().engine.list_jobs(owner=owner, kind=kind, limit=PAGE + 1, before=before)
    rows = [row_view(record, url_for("pages.watch", ticket=record.ticket)) for record in records[:PAGE]]
    response = jsonify(tasks=rows, more=len(records) > PAGE)
    response.headers["Cache-Control"] = "no-cache, private"
    response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
    response.make_conditional(request)
    return response


def listed_owner() -> str | None:
    """Whose tasks the visitor may list; None for everyone's. Raises AccessDenied for a stranger."""
    session = session_for(Scope.READ)
    if may_list_tasks(session=session, settings=services().settings):
        return None
    if session is None:
        raise AccessDenied("Log in to see your tasks.")
    return owner_of_account(session.name)


@blueprint.get("/<ticket:ticket>")
def task(ticket: int) -> Response:
    return jsonify(task_view(watched_task(ticket), services().engine))


@blueprint.get("/<ticket:ticket>/events")
def events(ticket: int) -> Response:
    """What happened after the event ``after``, as the WebSocket would tell it.

    After an event that never was, and could not come any more, that is everything.
    """
    record = watched_task(ticket)
    after = request.args.get("after", BEGINNING)
    if not is_event_id(after):
        raise InvalidInput("after: expected the id of an event, such as 1700000000000-0")
    engine = services().engine
    found = engine.events(ticket, after=after, count=MAX_EVENTS)
    if not found and record.state.finished:
        whole = engine.events(ticket)
        if whole and position(whole[-1].id) < position(after):
            found, after = whole[:MAX_EVENTS], BEGINNING
    now = _as_many_as_fit(found)
    tale = Tale(line=0 if after == BEGINNING else None, last_id=after)
    messages = [encode(message, Style.NEW) for message in tale.tell(now) if Style.NEW in message.styles]
    more = "true" if len(now) < len(found) or len(found) == MAX_EVENTS else "false"
    return Response(f'{{"messages":[{",".join(messages)}],"more":{more}}}', mimetype="application/json")


def _as_many_as_fit(found: list[Event]) -> list[Event]:
    """The events of one answer: output comes in pieces of any size."""
    room = MAX_OUTPUT_CHARS
    for count, event in enumerate(found):
        room -= len(str(event.data.get("text", ""))) if event.type == "output" else 0
        if room < 0 and count:
            return found[:count]
    return found


@blueprint.post("/<ticket:ticket>/cancel")
def cancel(ticket: int) -> Response:
    record = controlled_task(ticket)
    session = visiting_session()
    reason = f"Cancelled by {session.name}." if session else "Cancelled on its page by somebody who has its link."
    if record.state.finished or not services().engine.cancel(ticket, reason):
        raise InvalidInput("The task has ended already.")
    return jsonify(error=False)


@blueprint.post("/<ticket:ticket>/answer")
def answer(ticket: int) -> Response:
    watched_task(ticket)
    value = request.form.get("value", "").strip()
    if not 0 < len(value) <= MAX_ANSWER_CHARS:
        raise InvalidInput(
            "Type the letters of the picture.",
            errors=[{"path": "value", "message": f"expected 1 to {MAX_ANSWER_CHARS} characters"}],
        )
    if not services().engine.answer(ticket, value):
        raise InvalidInput("No question is open any more.")
    return jsonify(error=False)


@blueprint.get("/<ticket:ticket>/captcha")
def captcha(ticket: int) -> Response:
    watched_task(ticket)
    address = captchas.image_address(services().engine.events(ticket))
    data, kind = captchas.fetch_image(services().outgoing, address)
    return Response(data, mimetype=kind)


@blueprint.get("/<ticket:ticket>/description")
def description(ticket: int) -> Response:
    """The description that was sent, word for word, to be changed and sent again."""
    record = controlled_task(ticket)
    payload = services().engine.payload(ticket)
    text, request_data = payload.get("description"), payload.get("request")
    if record.kind != KIND or not isinstance(request_data, dict):
        raise NotFound(f"task {ticket} was made without a description")
    if not isinstance(text, str):
        # It was not sent over HTTP: what was understood of it says the same.
        kept = {name: value for name, value in request_data.items() if name != "warnings"}
        text = json.dumps(kept, ensure_ascii=False, indent=2)
    return Response(text, mimetype="application/json")


@blueprint.get("/<ticket:ticket>/result")
def result(ticket: int) -> Response:
    """The repository JSON as a file."""
    record = controlled_task(ticket)
    text = json.dumps(_repository(ticket), ensure_ascii=False, indent=2)
    response = Response(text + "\n", mimetype="application/json")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", record.title).strip("-.")[:80] or f"task-{ticket}"
    response.headers.set("Content-Disposition", "attachment", filename=f"{name}.json")
    return response


@blueprint.get("/<ticket:ticket>/tree")
def tree(ticket: int) -> Response:
    controlled_task(ticket)
    return jsonify(result_tree(_repository(ticket), services().sizes_of))


def _repository(ticket: int) -> dict[str, Any]:
    found = services().engine.result(ticket)
    if not isinstance(found, dict) or "mods" not in found:
        raise NotFound(f"task {ticket} has no result")
    return found
