"""``/login`` and ``/logout``: from a name and a password to the session cookie, and back."""

from __future__ import annotations

import logging

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from knossos.web.authentication import end_session, refuse_other_sites, start_session
from knossos.web.services import services

blueprint = Blueprint("login", __name__)
_log = logging.getLogger(__name__)


def local_path(text: str) -> str:
    """``text`` where it is a path on this server, else "/": a login must not send anybody elsewhere."""
    plain = text.isprintable() and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"


@blueprint.get("/login")
def form() -> str:
    return render_template("login.html", next=local_path(request.args.get("next", "/")), name="", error="")


@blueprint.post("/login")
def login() -> Response:
    refuse_other_sites()
    name, password = request.form.get("name", "").strip(), request.form.get("password", "")
    target = local_path(request.form.get("next", "/"))
    account = services().accounts.check_password(name, password) if name and password else None
    if account is None:
        _log.warning("login refused for %r from %s", name[:64], request.remote_addr)
        error = "The name or the password is wrong." if name and password else "Give your name and your password."
        page = render_template("login.html", next=target, name=name[:64], error=error)
        return make_response(page, 401 if name and password else 400)
    response = make_response(redirect(target, 303))
    start_session(response, account)
    _log.info("login of %s", account.name)
    return response


@blueprint.post("/logout")
def logout() -> Response:
    refuse_other_sites()
    response = make_response(redirect(url_for("pages.start"), 303))
    end_session(response)
    return response
