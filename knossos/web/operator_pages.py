"""/operator: what the workers do, what waits, what failed, how full the disks are. For operators only.

The page is whole without scripts; with them its middle is fetched anew every few seconds. What an operator does there
is a plain form, and stands in the audit log. While Redis is away the page says so, with what does not lie there.
"""

from __future__ import annotations

import time
from typing import Any

import redis
from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from knossos.accounts.audit import Actor
from knossos.jobs import Engine, JobNotFound, overview
from knossos.operating import disks, failed_jobs
from knossos.operating.versions import versions
from knossos.web.authentication import (
    client_address,
    page_operator,
    take_own_forms_only,
)
from knossos.web.security import keep_private
from knossos.web.services import services
from knossos.web.task_views import short_message

#: Failed jobs that are shown.
FAILED = 50
#: What is said after something was done, by the word in the address that leads back.
DONE = {"retry": "The task was started again.", "delete": "The task is deleted.", "gone": "That task is gone already."}

blueprint = Blueprint("operator_pages", __name__)
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)


@blueprint.get("/operator", endpoint="overview")
def overview_page() -> str:
    page_operator()
    return render_template("operator/overview.html", done=DONE.get(request.args.get("done", ""), ""), **_state())


@blueprint.get("/operator/live")
def live() -> str:
    """The middle of the page, for its script."""
    page_operator()
    return render_template("operator/live.html", **_state())


@blueprint.post("/operator/tasks/<ticket:ticket>/retry")
def retry(ticket: int) -> AnyResponse:
    by = page_operator()
    try:
        failed_jobs.retry(services().engine, services().audit, ticket, Actor(by.name, client_address()))
    except JobNotFound:
        return _back("gone")
    return _back("retry")


@blueprint.post("/operator/tasks/<ticket:ticket>/delete")
def delete(ticket: int) -> AnyResponse:
    by = page_operator()
    try:
        failed_jobs.delete(services().engine, services().audit, ticket, Actor(by.name, client_address()))
    except JobNotFound:
        return _back("gone")
    return _back("delete")


def _back(done: str) -> AnyResponse:
    return redirect(url_for("operator_pages.overview", done=done), 303)


def _state() -> dict[str, Any]:
    """What the page shows; ``redis_away`` says why half of it is not there, since that half is in Redis."""
    engine = services().impatient
    try:
        state = _of_redis(engine)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        state = {"redis_away": "says nothing" if isinstance(error, redis.TimeoutError) else "does not answer"}
    # Where it says nothing, each further question would cost as much time again.
    ask_redis = "redis_away" not in state
    return state | {
        "disks": disks.disks(engine, ask_redis=ask_redis),
        "versions": versions(engine, services().database, ask_redis=ask_redis),
    }


def _of_redis(engine: Engine) -> dict[str, Any]:
    memory: dict[str, Any] = engine.redis.info("memory")
    return {
        "now": time.time(),
        "workers": overview.workers(engine),
        "lost_seconds": engine.settings.worker_lost_seconds,
        "queues": overview.queues(engine),
        "held_back": overview.held_back(engine),
        "failed": overview.failed(engine, FAILED),
        "short_message": short_message,
        "retry_does": failed_jobs.what_a_retry_does,
        "no_retry": failed_jobs.NO_RETRY,
        "deletion": failed_jobs.DELETION,
        "redis_used": int(memory.get("used_memory", 0)),
        "redis_limit": int(memory.get("maxmemory", 0)),
    }
