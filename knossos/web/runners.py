"""script-runner's HTTP protocol: ``/task``, ``/script`` and ``/health``, for clients old and new.

Owns the addresses and shapes of that protocol and nothing else: values and results are `knossos.scripting.runners`'s,
runs are jobs like any other. All sites may use it, since no cookie counts for another site's request.
"""

from __future__ import annotations

import base64
import json
import logging
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, jsonify, request, url_for

from knossos import __version__
from knossos.accounts import COOKIE_NAME
from knossos.accounts.openid import BearerRefused
from knossos.errors import InvalidInput, NotFound
from knossos.scripting.plan import FileRole
from knossos.scripting.run_records import KeptFile, Run
from knossos.scripting.runners.folder import BrokenRunner
from knossos.scripting.runners.inputs import Call
from knossos.web.addresses import public_base
from knossos.web.authentication import TOKEN_HEADER
from knossos.web.errors import STATUS, answer
from knossos.web.runner_callers import owner_calling, readable_run
from knossos.web.services import services
from knossos.web.stored_answers import stored_answer

#: Largest body in bytes: all that a call may say, most of which no argument takes.
MAX_BODY_BYTES = 4 * 1024 * 1024
#: How many times SCRIPT_INLINE_BYTES the files of one answer may have together; what is more comes as links.
INLINE_FILES = 4
#: Bytes of the end of standard error in the answer of a run that failed.
TAIL_BYTES = 4_000
#: Seconds for which a browser remembers that other sites may call.
PREFLIGHT_SECONDS = 600

_log = logging.getLogger(__name__)

blueprint = Blueprint("runners", __name__)


@blueprint.post("/task")
@blueprint.post("/task/<path:path>")
@blueprint.post("/script/<path:path>")
def call(path: str = "") -> Response:
    scripting = services().scripting
    name, rest = scripting.runners.select(path)
    owner = owner_calling(name)
    request.max_content_length = MAX_BODY_BYTES
    runner = scripting.runners.find(name)
    made = Call(rest, dict(request.args.lists()), request.get_data(cache=False))
    started = scripting.start_runner(runner, owner, made)
    return jsonify(id=started.run.run_id, status="not-ready")


@blueprint.get("/task/<path>")
@blueprint.get("/script/<path>")
def status(path: str) -> Response:
    """``path`` is the id of a run; it is called as it is above, since there is one address for both."""
    run = readable_run(path)
    if run.outcome is None:
        return jsonify(id=run.run_id, status="not-ready")
    if not run.succeeded:
        return jsonify(id=run.run_id, status="failed", error=error_of(run))
    return jsonify(id=run.run_id, status="ready", **_results(run))


@blueprint.get("/task/<run_id>/files/<int:number>/<name>")
def file(run_id: str, number: int, name: str) -> Response:
    run = readable_run(run_id)
    kept = next((one for one in _given_out(run) if one.number == number and _base(one) == name), None)
    if kept is None:
        raise NotFound("There is nothing at this address.")
    kind = "application/json" if kept.role is FileRole.RESULTS else "application/octet-stream"
    response = stored_answer(services().scripting.storage, kept.key, content_type=kind, cache="private, no-cache")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    return response


@blueprint.get("/health")
def health() -> Response:
    return jsonify(version=__version__, server=True)


# --- answers ----------------------------------------------------------------------------------------


def error_of(run: Run) -> str:
    """What went wrong, and the end of standard error."""
    said = run.error or f"It ended with exit code {run.exit_code}."
    stderr = run.file(FileRole.STDERR)
    if stderr is None:
        return said
    tail = b"".join(services().scripting.storage.read(stderr.key, max(0, stderr.size - TAIL_BYTES)))
    return f"{said}\n{tail.decode('utf-8', 'replace').strip()}".strip()


def _results(run: Run) -> dict[str, Any]:
    """Attachments by their names and the results; what is too large for that as links beside them."""
    attachments: dict[str, str] = {}
    links: dict[str, str] = {}
    left = INLINE_FILES * services().settings.script_inline_bytes
    found: dict[str, Any] = {"attachments": attachments, "results": []}
    for kept in _given_out(run):
        fits = kept.size <= min(left, services().settings.script_inline_bytes)
        left -= kept.size if fits else 0
        data = b"".join(services().scripting.runs.read(kept)) if fits else b""
        if kept.role is FileRole.RESULTS:
            # None, not an empty list: a client that does not know links must not take them for no results.
            found["results"] = json.loads(data) if fits else None
            if not fits:
                found["results_link"] = _link(run, kept)
            continue
        # Two of one name are told apart by their folders.
        name = _base(kept) if _base(kept) not in {*attachments, *links} else kept.name
        if fits:
            attachments[name] = base64.b64encode(data).decode()
        else:
            links[name] = _link(run, kept)
    return {**found, "links": links} if links else found


def _given_out(run: Run) -> list[KeptFile]:
    """The files of a run that this protocol speaks of, results first."""
    roles = (FileRole.RESULTS, FileRole.ATTACHMENT)
    return sorted((one for one in run.files if one.role in roles), key=lambda one: roles.index(one.role))


def _base(kept: KeptFile) -> str:
    return PurePosixPath(kept.name).name


def _link(run: Run, kept: KeptFile) -> str:
    base = public_base(services().settings, request.scheme, request.host)
    return base + url_for("runners.file", run_id=run.run_id, number=kept.number, name=_base(kept))


# --- errors, other sites ----------------------------------------------------------------------------


@blueprint.errorhandler(BearerRefused)
def _refused(error: BearerRefused) -> Response:
    response = jsonify(code=error.code, description=error.message)
    response.status_code = 401
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


@blueprint.errorhandler(InvalidInput)
def _invalid(error: InvalidInput) -> Response:
    _log.info("a call of a runner is refused: %s", error.message)
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return answer(status, error.code, error.message, errors=error.errors)


@blueprint.errorhandler(BrokenRunner)
def _broken(error: BrokenRunner) -> Response:
    _log.error("%s", error.message)
    return answer(500, error.code, f"This runner is not set up rightly: {error.message}")


@blueprint.after_request
def _add_headers(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    if COOKIE_NAME in request.cookies:
        response.headers.pop("Access-Control-Allow-Origin", None)
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        return response
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = f"Authorization, Content-Type, Range, {TOKEN_HEADER}"
        response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
    return response
