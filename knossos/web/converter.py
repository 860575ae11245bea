"""The converter's HTTP protocol (``/api/converter/...`` and ``/api/list_tasks``), for clients old and new.

Owns the fields, texts and shapes of that protocol and nothing else: descriptions are checked by
`knossos.packaging`, jobs kept by the engine. Status 200 with ``"error": true`` for a bad description is what
old clients expect. A request that is refused queues nothing and stores nothing.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from knossos.accounts.access import may_list_tasks
from knossos.errors import AccessDenied, InvalidInput
from knossos.jobs import JobNotFound, JobRecord, JobSpec, JobState
from knossos.outgoing.webhook import check_webhook_url
from knossos.packaging.description import AmbiguousJson, ConversionRequest, NotJson, parse_request
from knossos.packaging.webhook import webhook_spec
from knossos.web.addresses import mirror_base
from knossos.web.authentication import current_session, submitting_owner, watched_task
from knossos.web.services import services

#: The ``kind`` of the engine's jobs that this protocol speaks of.
KIND = "conversion"
FUNCTION = "knossos.packaging.conversion.convert"

#: A byte of text is up to three bytes in a URL-encoded form; other fields and part headers need a little.
_ESCAPED = 3
_OTHER_FIELDS_BYTES = 64 * 1024
#: Jobs that are read from the engine at a time.
_PAGE = 500

_STATES = {JobState.QUEUED: "WAITING", JobState.RUNNING: "WORKING"}

blueprint = Blueprint("converter", __name__)


@blueprint.post("/api/converter/request")
def submit() -> Response:
    settings = services().settings
    limit = settings.max_description_bytes
    request.max_content_length = request.max_form_memory_size = _ESCAPED * limit + _OTHER_FIELDS_BYTES
    owner = submitting_owner()
    data = _description_text(limit)
    if len(data) > limit:
        raise RequestEntityTooLarge
    description = parse_request(data)
    then = None
    if webhook := request.form.get("webhook", "").strip():
        check_webhook_url(webhook, settings)
        then = webhook_spec(webhook, owner, settings)
    spec = JobSpec(
        function=FUNCTION,
        kind=KIND,
        title=title_of(description),
        owner=owner,
        payload={
            "request": description.as_payload(),
            # As it was sent, for those who want to change it and send it again.
            "description": data.decode("utf-8", "replace"),
            "mirror_url": mirror_base(settings, request.scheme, request.host),
        },
        timeout_seconds=settings.conversion_timeout_seconds,
    )
    record = services().engine.submit(spec, then)
    return jsonify(ticket=record.ticket, token=record.token)


@blueprint.get("/api/converter/get_status/<ticket:ticket>")
def get_status(ticket: int) -> Response:
    return jsonify(status_of(watched_task(ticket)))


@blueprint.post("/api/converter/retrieve")
def retrieve() -> Response:
    text = request.form.get("ticket", "")
    token = request.form.get("token", "").encode("utf-8", "surrogatepass")
    try:
        record = services().engine.find(int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0)
    except JobNotFound:
        record = None
    if record is None or record.kind != KIND:
        return jsonify(json=None, success=False, finished=True, found=False)
    if not hmac.compare_digest(record.token.encode(), token):
        raise AccessDenied("Failed to validate token!")
    if not record.state.finished:
        return jsonify(json=None, success=False, finished=False, found=True)
    if record.state is not JobState.SUCCEEDED:
        return jsonify(json=None, success=False, finished=True)
    return jsonify(json=repository_text(record), success=True, finished=True)


@blueprint.get("/api/list_tasks")
def list_tasks() -> Response:
    if not may_list_tasks(session=current_session(), settings=services().settings):
        raise AccessDenied("Access denied")
    return jsonify({str(record.ticket): status_of(record) for record in _all_conversions()})


def status_of(record: JobRecord) -> dict[str, Any]:
    """The status object of the protocol."""
    status: dict[str, Any] = {"state": _STATES.get(record.state, "DONE"), "time": record.changed_at}
    if record.state.finished:
        status["runtime"] = record.runtime or 0.0
    return status


def _description_text(limit: int) -> bytes:
    """The field ``data``, also where a client sends it as a file of a multipart form; a byte too many at the most."""
    part = request.files.get("data")
    if part is not None and "data" not in request.form:
        return part.stream.read(limit + 1)
    return request.form.get("data", "").encode("utf-8", "replace")


def title_of(description: ConversionRequest) -> str:
    """What the task is called in lists."""
    first = description.mods[0]
    more = len(description.mods) - 1
    return f"{first.title} {first.version}" + (f" and {more} more" if more else "")


def repository_text(record: JobRecord) -> str:
    return json.dumps(services().engine.result(record.ticket), ensure_ascii=False)


def _all_conversions() -> Iterator[JobRecord]:
    before = None
    while page := services().engine.list_jobs(kind=KIND, limit=_PAGE, before=before):
        yield from page
        before = page[-1].ticket


@blueprint.errorhandler(AccessDenied)
def _denied(error: AccessDenied) -> Response:
    return Response(error.message, 403, mimetype="text/plain")


@blueprint.errorhandler(InvalidInput)
def _refused(error: InvalidInput) -> Response:
    """A description that breaks the rules: status 200, as old clients expect; programs of today read ``errors``."""
    body: dict[str, Any] = {"ticket": None, "token": None, "error": True, "message": error.message}
    if not isinstance(error, NotJson) or isinstance(error, AmbiguousJson):
        body["errors"] = error.errors
    return jsonify(body)


@blueprint.errorhandler(RequestEntityTooLarge)
def _too_large(error: RequestEntityTooLarge) -> Response:
    limit = services().settings.max_description_bytes
    message = f"The description is larger than MAX_DESCRIPTION_BYTES, {limit} bytes."
    response = jsonify(ticket=None, token=None, error=True, code="too_large", message=message)
    response.status_code = 413
    return response
