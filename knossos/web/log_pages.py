"""``/log/<id>``: a game's log that a player uploaded, for those who were given the link.

The text is a stranger's: it is shown as text, and the download is plain text whatever it looks like. Search engines are
asked to stay away, since such logs name folders and people.
"""

from __future__ import annotations

from flask import Blueprint, Response, render_template, request, url_for

from knossos.errors import NotFound
from knossos.publishing.tables import LogPage
from knossos.web.log_views import log_view, page_of
from knossos.web.services import services

blueprint = Blueprint("log_pages", __name__)


@blueprint.after_request
def _keep_out_of_searches(response: Response) -> Response:
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@blueprint.get("/log/<log_id>")
def log(log_id: str) -> str:
    found = _find(log_id)
    shown = log_view(found.text, request.args.get("page", 1, type=int))

    def page_address(page: int) -> str:
        return url_for("log_pages.log", log_id=log_id, page=page if page > 1 else None)

    def line_address(number: int) -> str:
        page = page_of(number)
        return f"{'' if page == shown.page else page_address(page)}#L{number}"

    return render_template(
        "log.html",
        id=log_id,
        created_at=found.created_at,
        log=shown,
        page_address=page_address,
        line_address=line_address,
    )


@blueprint.get("/log/<log_id>/raw")
def raw(log_id: str) -> Response:
    response = Response(_find(log_id).text, mimetype="text/plain")
    response.headers["Content-Disposition"] = f'attachment; filename="log-{log_id}.txt"'
    return response


def _find(log_id: str) -> LogPage:
    found = services().publisher.logs.find(log_id)
    if found is None:
        raise NotFound("There is no such log (any more).")
    return found
