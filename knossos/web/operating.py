"""``/metrics`` for Prometheus and ``/ready`` for whoever sends requests here; ``/health`` is `runners.py`'s.

Figures are read from Redis when they are asked for, so it does not matter which process of uWSGI answers.
"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, make_response, request
from prometheus_client.exposition import choose_encoder

from knossos.errors import AccessDenied
from knossos.operating.reading import may_read_figures
from knossos.web.authentication import current_session
from knossos.web.services import services

blueprint = Blueprint("operating", __name__)

#: Headers with which a proxy says that it asks for somebody else.
FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host")


@blueprint.get("/metrics")
def metrics() -> Response:
    """All figures of the installation, in the format that the client prefers."""
    if not _may_read():
        raise AccessDenied("The figures are for this machine itself, and for whoever has METRICS_TOKEN.")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    answer = make_response(encode(services().figures))
    answer.headers["Content-Type"] = content_type
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _may_read() -> bool:
    session = current_session()
    if session is not None and session.is_operator:
        return True
    # Where no header says that a proxy asks for somebody else, the address is that of the connection.
    return may_read_figures(
        services().settings,
        address=request.remote_addr or "",
        forwarded=any(name in request.headers for name in FORWARDED),
        authorization=request.headers.get("Authorization", ""),
    )


@blueprint.get("/ready")
def ready() -> tuple[Response, int]:
    """Whether this server can do its work: 503, and which part is missing, where it cannot."""
    found = services().readiness.ask()
    answer = jsonify(found.as_dict())
    answer.headers["Cache-Control"] = "no-store"
    return answer, 200 if found.ready else 503
