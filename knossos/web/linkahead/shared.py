"""``GET /Shared/<name of a SHARED_DIR>/<file>``: what a script shared, until it expires.

Those see it who could run the script, and whose run it was. A script may have made it of what strangers sent: wherever
a browser shows it, it is in a sandbox where nothing can act as a page of this server.
"""

from __future__ import annotations

import mimetypes
import re
from urllib.parse import quote

from flask import Response

from knossos.accounts.tokens import Scope
from knossos.errors import AccessDenied, NotFound
from knossos.scripting.access import Caller, may_execute
from knossos.scripting.calls import NotLoggedIn
from knossos.scripting.plan import FileRole, RunKind
from knossos.scripting.run_records import KeptFile, Run
from knossos.web.linkahead.blueprint import blueprint
from knossos.web.linkahead.callers import reader
from knossos.web.services import services
from knossos.web.stored_answers import stored_answer

#: What `Runs.submit` calls a SHARED_DIR.
SHARED_NAME = re.compile(r"[0-9a-f]{2,40}")
#: What a browser shows; all else is a download.
SHOWN = frozenset(
    {"application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp", "text/csv", "text/html", "text/plain"}
)
#: Reports have their styles and pictures in them; they can neither run scripts nor load or send anything.
SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@blueprint.get("/Shared/<folder>/<path:name>")
def shared_file(folder: str, name: str) -> Response:
    if not SHARED_NAME.fullmatch(folder):
        raise NotFound("There is no such folder (any more).")
    run = services().scripting.runs.of_shared_name(folder)
    _check(reader(Scope.RUN), run)
    file = _find(run, name)
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    answer = stored_answer(
        services().scripting.storage,
        file.key,
        content_type=f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        cache="private, no-cache",
    )
    del answer.headers["Access-Control-Allow-Origin"]
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Content-Security-Policy"] = SANDBOX
    how, plain = "inline" if kind in SHOWN else "attachment", file.name.rpartition("/")[2]
    answer.headers["Content-Disposition"] = f"{how}; filename*=UTF-8''{quote(plain, safe='')}"
    return answer


def _check(who: Caller, run: Run) -> None:
    if who.owner == run.owner or (run.kind is RunKind.SCRIPT and may_execute(who, run.name, services().settings)):
        return
    if who.account is None:
        raise NotLoggedIn("Log in to see this file.")
    raise AccessDenied("Only those who may run the script may see what it shared.")


def _find(run: Run, name: str) -> KeptFile:
    for file in run.files:
        if file.role is FileRole.SHARED and file.name == name:
            return file
    raise NotFound("There is no such file (any more).")
