"""``/users``: the accounts, for operators: looking through them, adding, changing and removing them.

Plain forms that work without scripts, as those of `account_pages.py`: one that is refused comes back with what was
typed and the reason at its field, no other site can send one, nor can a script in its caller's name. Removing is asked
first.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from knossos.accounts.administration import By, Change
from knossos.accounts.audit import Actor
from knossos.accounts.registration import check_new_password
from knossos.errors import InvalidInput
from knossos.web.account_pages import problems
from knossos.web.authentication import (
    client_address,
    page_account,
    page_operator,
    take_own_forms_only,
)
from knossos.web.security import keep_private
from knossos.web.services import services

#: Users on a page.
PAGE = 50
DONE = {
    "added": "The account is made.",
    "invited": "The account is made, and an invitation is on its way.",
    "roles": "The roles are changed.",
    "email": "The address is changed.",
    "password": "The password is changed. All logins and tokens of the account are ended.",
    "reset": "A link to a new password is on its way.",
    "logout": "All logins of the account are ended.",
    "disabled": "The account is disabled.",
    "enabled": "The account is enabled.",
}

blueprint = Blueprint("user_pages", __name__, url_prefix="/users")
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)


@blueprint.before_request
def _check_visitor() -> None:
    page_operator()


@blueprint.get("")
def users() -> str:
    text = _field("q", request.args)
    found = services().administration.search(text, request.args.get("page", 1, type=int), PAGE)
    removed = _field("removed", request.args)
    return render_template("users/list.html", found=found, text=text, removed=removed, address=_page_address)


def _page_address(page: int) -> str:
    return url_for("user_pages.users", q=_field("q", request.args) or None, page=page)


@blueprint.get("/new")
def new() -> str:
    return _new_page({"roles": []}, {})


@blueprint.post("/new")
def add() -> Response | str | tuple[str, int]:
    name, email, password = _field("name"), _field("email"), request.form.get("password", "")
    roles = [*request.form.getlist("roles"), *(["operator"] if request.form.get("admin") else [])]
    known = services().scripting.role_names()
    try:
        link = services().registration.add(name, email or None, password, roles, _by().actor, more_roles=known)
    except InvalidInput as error:
        return _new_page({"name": name, "email": email, "roles": roles}, problems(error)), 400
    return _user_page(name, link=link) if link else _done(name, "added" if password else "invited")


def _new_page(values: dict[str, Any], errors: dict[str, str]) -> str:
    known = sorted(services().scripting.role_names())
    return render_template("users/new.html", values=values, errors=errors, known=known)


@blueprint.get("/<name>")
def user(name: str) -> str:
    return _user_page(name, done=DONE.get(request.args.get("done", ""), ""))


@blueprint.post("/<name>")
def change(name: str) -> Response | str | tuple[str, int]:
    what, by, password = _field("what"), _by(), request.form.get("password", "")
    try:
        match what:
            case "roles":
                roles, admin = request.form.getlist("roles"), bool(request.form.get("admin"))
                _change(name, Change(roles=roles, operator=admin), by)
            case "email":
                _change(name, Change(email=_field("email")), by)
            case "password":
                check_new_password(password)
                _change(name, Change(password=password), by)
            case "disabled" | "enabled":
                _change(name, Change(disabled=what == "disabled"), by)
            case "logout":
                services().accounts.end_logins(name, by=by.actor)
            case "reset":
                if link := services().registration.send_reset(name, by.actor):
                    return _user_page(name, link=link)
            case _:
                raise InvalidInput("There is no such change.")
    except InvalidInput as error:
        return _user_page(name, section=what, errors=problems(error)), 400
    return _done(name, what)


@blueprint.get("/<name>/remove")
def removal(name: str) -> str:
    return render_template("users/remove.html", person=services().administration.find(name), error="")


@blueprint.post("/<name>/remove")
def remove(name: str) -> Response | tuple[str, int]:
    try:
        gone = services().departure.remove(name, _by())
    except InvalidInput as error:
        person = services().administration.find(name)
        return render_template("users/remove.html", person=person, error=error.message), 400
    return make_response(redirect(url_for("user_pages.users", removed=gone.name), 303))


def _change(name: str, change: Change, by: By) -> None:
    services().administration.change(name, change, by, more_roles=services().scripting.role_names())


def _user_page(name: str, **shown: Any) -> str:
    person = services().administration.find(name)
    return render_template(
        "users/user.html",
        person=person,
        used=services().homes.used(person.account.user_id),
        quota=services().settings.home_quota_bytes,
        known=sorted(services().scripting.role_names()),
        oneself=page_account().user_id == person.account.user_id,
        **{"section": "", "errors": {}, "done": "", "link": "", **shown},
    )


def _done(name: str, what: str) -> Response:
    return make_response(redirect(url_for("user_pages.user", name=name, done=what), 303))


def _by() -> By:
    visitor = page_account()
    return By(Actor(visitor.name, client_address()), visitor.user_id)


def _field(name: str, source: Any = None) -> str:
    return str((request.form if source is None else source).get(name, "")).replace("\0", "").strip()[:400]
