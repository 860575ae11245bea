"""``/login`` and ``/logout``: from a name and a password to the session cookie, and back.

The forms of the pages; LinkAhead clients post to the same ``/login``, with the field ``username``
(`knossos.web.linkahead.sessions`).
"""

from __future__ import annotations

import logging

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from knossos.accounts.logins import AccountDisabled, NotVerified, WrongLogin
from knossos.accounts.throttle import TooManyTries
from knossos.web.authentication import client_address, end_session, refuse_other_sites, start_session
from knossos.web.linkahead.sessions import log_in_program
from knossos.web.services import services

blueprint = Blueprint("login", __name__)
_log = logging.getLogger(__name__)


def local_path(text: str) -> str:
    """``text`` where it is a path on this server, else "/": a login must not send anybody elsewhere."""
    plain = text.isprintable() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"


@blueprint.get("/login")
def form() -> str:
    return _form_page(local_path(request.args.get("next", "/")))


@blueprint.post("/login")
def login() -> Response:
    if "username" in request.form:
        return log_in_program()
    refuse_other_sites()
    name, password = request.form.get("name", "").strip(), request.form.get("password", "")
    if not name or not password:
        return _form_again(400, name, "Give your name and your password.")
    try:
        account = services().logins.log_in(name, password, client_address())
    except TooManyTries as error:
        page = _form_again(429, name, error.message)
        page.headers["Retry-After"] = str(error.retry_after_seconds)
        return page
    except WrongLogin as error:
        return _form_again(401, name, error.message)
    except NotVerified as error:
        services().registration.send_again(error.user_id)
        return _form_again(403, name, error.message)
    except AccountDisabled as error:
        return _form_again(403, name, error.message)
    response = make_response(redirect(local_path(request.form.get("next", "/")), 303))
    start_session(response, account)
    _log.info("login of %s", account.name)
    return response


@blueprint.post("/logout")
def logout() -> Response:
    refuse_other_sites()
    response = make_response(redirect(url_for("pages.start"), 303))
    end_session(response)
    return response


def _form_again(status: int, name: str, error: str) -> Response:
    target = local_path(request.form.get("next", "/"))
    return make_response(_form_page(target, name[:64], error), status)


def _form_page(target: str, name: str = "", error: str = "") -> str:
    is_open = services().settings.open_registration
    return render_template("login.html", next=target, name=name, error=error, may_register=is_open)
