"""``/api/users``: the accounts, for operators.

What an account is here: a name, an ``admin`` flag (it operates this server), further roles, an address, and whether it
is disabled. Everything that is sent is looked at before anything is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, jsonify, request, url_for

from knossos.accounts.accounts import AccountExists
from knossos.accounts.administration import By, Change, Person
from knossos.accounts.audit import Actor
from knossos.accounts.registration import check_new_password
from knossos.accounts.tokens import Scope
from knossos.errors import AccessDenied, InvalidInput
from knossos.web.authentication import client_address
from knossos.web.script_server.blueprint import blueprint, iso
from knossos.web.script_server.callers import caller, json_object, whole_number
from knossos.web.services import services

#: Users in one answer, by default and at most.
PAGE, MAX_PAGE = 100, 1000
#: Most characters of a text.
MAX_TEXT_CHARS = 1024


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT_CHARS and "\0" not in value


def _address(value: Any) -> bool:
    return value is None or _text(value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


_Rule = tuple[Callable[[Any], bool], str]
_COMMON: dict[str, _Rule] = {
    "password": (_text, "expected a text"),
    "email": (_address, "expected a mail address, or null"),
    "admin": (_flag, "expected true or false"),
    "roles": (_texts, "expected a list of names of roles"),
}
_NEW: dict[str, _Rule] = {"name": (_text, "expected a text"), **_COMMON}
_CHANGES: dict[str, _Rule] = {**_COMMON, "disabled": (_flag, "expected true or false")}


@blueprint.get("/api/users")
def users() -> Response:
    operator()
    page, size = whole_number("page") or 1, whole_number("limit", MAX_PAGE) or PAGE
    found = services().administration.search(request.args.get("q", "").replace("\0", "").strip(), page, size)
    return jsonify(
        users=[_about(person) for person in found.found], total=found.total, page=found.page, pages=found.pages
    )


@blueprint.post("/api/users")
def add_user() -> Response:
    by, sent = operator(), _fields(_NEW)
    name, email = sent.get("name"), sent.get("email")
    if name is None:
        raise InvalidInput.at("name", "expected a text")
    roles = _all_roles(sent.get("roles", []), admin=sent.get("admin", False))
    known = services().scripting.role_names()
    try:
        link = services().registration.add(name, email, sent.get("password"), roles, by.actor, more_roles=known)
    except AccountExists as error:
        raise _taken(error) from error
    response = jsonify(_about(services().administration.find(name)) | ({"link": link} if link else {}))
    response.headers["Location"] = url_for("script_server.user", name=name)
    return response


@blueprint.get("/api/users/<name>")
def user(name: str) -> Response:
    operator()
    return jsonify(_about(services().administration.find(name)))


@blueprint.patch("/api/users/<name>")
def change_user(name: str) -> Response:
    by, sent = operator(), _fields(_CHANGES)
    if sent.get("password") is not None:
        check_new_password(sent["password"])
    change = Change(
        roles=sent.get("roles"),
        operator=sent.get("admin"),
        disabled=sent.get("disabled"),
        password=sent.get("password"),
        email=(sent["email"] or "") if "email" in sent else None,
    )
    try:
        services().administration.change(name, change, by, more_roles=services().scripting.role_names())
    except AccountExists as error:
        raise _taken(error) from error
    return jsonify(_about(services().administration.find(name)))


@blueprint.post("/api/users/<name>")
def command_user(name: str) -> Response:
    by = operator()
    match json_object().get("command"):
        case "reset":
            link = services().registration.send_reset(name, by.actor)
            return jsonify(error=False, **({"link": link} if link else {}))
        case "logout":
            services().accounts.end_logins(name, by=by.actor)
            return jsonify(error=False)
    raise InvalidInput.at("command", 'expected "reset" or "logout"')


@blueprint.delete("/api/users/<name>")
def remove_user(name: str) -> Response:
    gone = services().departure.remove(name, operator())
    return jsonify(error=False, runs=gone.runs, mods=gone.mods)


def operator() -> By:
    """Who asks, if they operate this server. Raises NotLoggedIn or AccessDenied."""
    account = caller(Scope.USERS)
    if not account.is_operator:
        raise AccessDenied("Accounts are for those who run this server.")
    return By(Actor(account.name, client_address()), account.user_id)


def _about(person: Person) -> dict[str, Any]:
    account = person.account
    return {
        "name": account.name,
        "admin": account.is_operator,
        "roles": person.roles,
        "email": account.email,
        "verified": account.verified,
        "disabled": account.disabled,
        "created": iso(person.created_at),
        "last_login": iso(person.last_login_at),
    }


def _fields(rules: Mapping[str, _Rule]) -> dict[str, Any]:
    """The JSON object that was sent. Raises InvalidInput with all that is wrong with it."""
    sent = json_object()
    wrong = [
        {"path": name, "message": rules[name][1] if name in rules else f"expected only: {', '.join(rules)}"}
        for name, value in sent.items()
        if name not in rules or not rules[name][0](value)
    ]
    if wrong:
        text = "; ".join(f"{one['path'][:40]}: {one['message']}" for one in wrong[:5])
        raise InvalidInput(text, errors=wrong)
    return sent


def _all_roles(roles: list[str], *, admin: bool) -> list[str]:
    if "operator" in roles:
        raise InvalidInput.at("roles", 'expected roles without "operator", which is said with admin: true')
    return [*roles, *(["operator"] if admin else [])]


def _taken(error: AccountExists) -> AccountExists:
    """The same, with the field that is taken."""
    errors = [{"path": error.taken, "message": "is taken"}]
    return AccountExists(error.message, **{**error.details, "errors": errors})
