"""The pages: rendered here once, kept up to date by their scripts. They hold no secret but a task's own token."""

from __future__ import annotations

import time

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from knossos.errors import AccessDenied
from knossos.jobs import JobState
from knossos.scripting.plan import RunKind
from knossos.web.addresses import public_base, websocket_base
from knossos.web.authentication import controls, visitor_identity, watched_task
from knossos.web.converter import KIND
from knossos.web.run_pages import run_address
from knossos.web.services import services
from knossos.web.task_feeds import listed_owner
from knossos.web.task_views import STATE_NAMES, task_view

#: Mods on the start page.
NEWEST = 6

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def start() -> str:
    settings = services().settings
    newest = services().publisher.catalogue.search(visitor_identity(), size=NEWEST)
    return render_template(
        "start.html",
        newest=newest.cards,
        total=newest.total,
        base=public_base(settings, request.scheme, request.host),
        sockets=websocket_base(settings, request.scheme, request.host),
    )


@blueprint.get("/converter")
def converter() -> str:
    return render_template("converter.html", max_bytes=services().settings.max_description_bytes)


@blueprint.get("/tasks")
def tasks() -> str:
    try:
        owner = listed_owner()
    except AccessDenied:
        return render_template("tasks.html", allowed=False)
    return render_template("tasks.html", allowed=True, everyone=owner is None, state_names=STATE_NAMES, now=time.time())


@blueprint.get("/watch/<ticket:ticket>")
def watch(ticket: int) -> str | Response:
    record = watched_task(ticket)
    if record.kind in list(RunKind) and (run := services().scripting.runs.of_ticket(ticket)) is not None:
        # Whose run it is shows here; a link with its token goes on working there.
        return make_response(redirect(run_address(run, record), 303))
    allowed = controls(record)
    view = task_view(record, services().engine)
    return render_template(
        "watch.html",
        task=view,
        percent=100 if record.state is JobState.SUCCEEDED else int((view["fraction"] or 0) * 100),
        # An open server shows tasks to everyone; the token, with which one has the result, it does not.
        token=record.token if allowed else "",
        controls=allowed,
        again=url_for("pages.converter", again=ticket, token=record.token) if allowed and record.kind == KIND else "",
        login=url_for("login.form", next=request.full_path),
        sockets=websocket_base(services().settings, request.scheme, request.host),
        state_names=STATE_NAMES,
        now=time.time(),
    )
