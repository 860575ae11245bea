"""What this server is, what it is at, and where its WebSockets are, for clients that only know its address."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request

from knossos import __version__
from knossos.web.addresses import websocket_base
from knossos.web.authentication import visiting_session
from knossos.web.services import services

blueprint = Blueprint("info", __name__)


@blueprint.get("/api/info")
def info() -> Response:
    session = visiting_session()
    running, waiting = services().home_scripts.counts()
    return jsonify(
        name=services().settings.name,
        version=__version__,
        username=session.name if session else None,
        jobs_running=running,
        jobs_waiting=waiting,
        ws_url=websocket_base(services().settings, request.scheme, request.host),
    )
