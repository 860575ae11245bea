"""``/api/login`` and ``/api/logout``: from a name and a password to the session cookie, the same as everywhere."""

from __future__ import annotations

import logging

from flask import Response, jsonify

from knossos.accounts.logins import NotVerified
from knossos.web.authentication import client_address, end_session, start_session
from knossos.web.script_server.blueprint import blueprint
from knossos.web.script_server.callers import caller, json_object, refuse_other_pages, text_of
from knossos.web.services import services

_log = logging.getLogger(__name__)


@blueprint.post("/api/login")
def login() -> Response:
    refuse_other_pages()
    sent = json_object()
    name, password = text_of(sent, "username").strip(), text_of(sent, "password")
    try:
        account = services().logins.log_in(name, password, client_address())
    except NotVerified as error:
        services().registration.send_again(error.user_id)
        raise
    response = jsonify(username=account.name)
    start_session(response, account)
    _log.info("login of %s over the API", account.name)
    return response


@blueprint.post("/api/logout")
def logout() -> Response:
    caller()
    response = jsonify(username=None)
    end_session(response)
    return response
