"""``/login`` for programs, ``/logout`` and ``/Info``: from a name and a password to the cookie, back, and who one is.

The page at ``/login`` has a form of its own, whose field is ``name`` where the client's is ``username``; its module
hands the client's over. The cookie stands alone in its header, since the client takes the header for one cookie.
"""

from __future__ import annotations

import logging

from flask import Response, request

from knossos.accounts.logins import NotVerified
from knossos.errors import AccessDenied, InvalidInput, KnossosError
from knossos.scripting.access import caller_of
from knossos.web.authentication import client_address, end_session, start_session
from knossos.web.linkahead import documents
from knossos.web.linkahead.blueprint import blueprint, refused, xml
from knossos.web.linkahead.callers import caller, refuse_pages_of_other_sites
from knossos.web.services import services

_log = logging.getLogger(__name__)


def log_in_program() -> Response:
    """Answer a login with the field ``username``."""
    try:
        return _log_in()
    except KnossosError as error:
        return refused(error)


def _log_in() -> Response:
    refuse_pages_of_other_sites()
    name, password = request.form.get("username", "").strip(), request.form.get("password", "")
    for field, value in (("username", name), ("password", password)):
        if not value or "\0" in value:
            raise InvalidInput.at(field, "expected a text")
    try:
        account = services().logins.log_in(name, password, client_address())
    except NotVerified as error:
        services().registration.send_again(error.user_id)
        raise
    answer = xml(documents.response(documents.user_info(caller_of(account))))
    start_session(answer, account)
    _log.info("login of %s with a program", account.name)
    return answer


@blueprint.route("/logout", methods=["GET", "DELETE"])
def log_out_program() -> Response:
    _refuse_forged()
    answer = xml(documents.response())
    end_session(answer)
    return answer


@blueprint.get("/Info")
def info() -> Response:
    return xml(documents.response(documents.user_info(caller())))


def _refuse_forged() -> None:
    """Raise AccessDenied where another site's page, link or picture sent a visitor here."""
    site = request.headers.get("Sec-Fetch-Site")
    if site == "none":  # typed by the visitor
        return
    refuse_pages_of_other_sites()
    # Without HTTPS browsers do not say where a link was followed; but they say that they want a page.
    if site is None and "text/html" in request.headers.get("Accept", ""):
        raise AccessDenied("Log out with the button on the pages.")
