"""Pages of accounts: registering, opening an account, a new password, the account with its tokens, the audit log.

Plain forms that work without scripts. A form that is refused comes back with what was typed (but for passwords), and
with the reason at the field that is wrong. Nothing here may be kept by a cache, and no other site can send a form
(`refuse_other_sites`), nor can a script in its caller's name (`refuse_runs`). Links in mails only show a button:
programs that look into mails follow links, too.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from knossos.accounts.audit import Actor
from knossos.accounts.logins import WrongLogin
from knossos.accounts.mail_links import LinkNotGood, Purpose
from knossos.accounts.registration import check_new_password
from knossos.accounts.throttle import TooManyTries
from knossos.accounts.tokens import Scope
from knossos.database import MAX_ROW_NUMBER
from knossos.errors import InvalidInput
from knossos.web.authentication import (
    client_address,
    page_account,
    page_operator,
    start_session,
    take_own_forms_only,
)
from knossos.web.security import keep_private
from knossos.web.services import services

#: Entries on a page of the audit log.
AUDIT_PAGE = 100
DAY_SECONDS = 86400
#: What a token's end may be: days and words; "" for none.
LIFETIMES = {"30": "in 30 days", "90": "in 90 days", "365": "in a year", "": "never"}
SCOPES = {
    Scope.READ: "see what you see, private mods too",
    Scope.UPLOAD: "upload files and images",
    Scope.RELEASE: "publish, change and delete releases, and end tasks",
    Scope.MANAGE: "create and change mods, teams and webhooks",
    Scope.RUN: "run scripts and runners that you may run, and have their results",
    Scope.SCRIPTS: "send scripts of your own, watch and end them",
    Scope.HOME: "see and change the files of your home",
    Scope.USERS: "add, change and remove accounts",
}
#: Scopes that say something only for operators.
OPERATOR_SCOPES = frozenset({Scope.USERS})
#: What is said after something was done, by the word in the address that leads back.
DONE = {
    "password": "Your password is changed.",
    "revoked": "The token is revoked.",
    "logout": "All other logins are ended.",
}

blueprint = Blueprint("account_pages", __name__)
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)


@blueprint.errorhandler(TooManyTries)
def _too_many(error: TooManyTries) -> Response:
    page = make_response(render_template("error.html", status=429, title="Too many tries", message=error.message), 429)
    page.headers["Retry-After"] = str(error.details["retry_after_seconds"])
    return page


# --- an account, and back into it ------------------------------------------------------------------------


@blueprint.get("/register")
def registration() -> str:
    return _register_page({}, {})


@blueprint.post("/register")
def register() -> str | tuple[str, int]:
    name, email = _field("name").strip(), _field("email").strip()
    try:
        services().registration.register(name, request.form.get("password", ""), email, client_address())
    except InvalidInput as error:
        return _register_page({"name": name, "email": email}, problems(error)), 400
    return _message(
        "Look into your mails",
        f"A mail is on its way to {email}. Its link opens your account.",
        "Nothing there? Look into the folder for unwanted mail, or ask whoever runs this server.",
    )


def _register_page(values: dict[str, str], errors: dict[str, str]) -> str:
    is_open = services().settings.open_registration
    return render_template("account/register.html", open=is_open, values=values, errors=errors)


@blueprint.get("/verify/<secret>")
def verification(secret: str) -> str | tuple[str, int]:
    return _verify_page(secret)


@blueprint.post("/verify/<secret>")
def verify(secret: str) -> str | tuple[str, int]:
    try:
        account = services().registration.verify(secret, client_address())
    except LinkNotGood:
        return _verify_page(secret)
    return _message("Your account is open", f"Welcome, {account.name}.", next=url_for("login.form"), next_text="Log in")


def _verify_page(secret: str) -> str | tuple[str, int]:
    try:
        account = services().registration.account_of_link(secret, Purpose.VERIFY)
    except LinkNotGood as error:
        return render_template("account/verify.html", error=error.message), 404
    return render_template("account/verify.html", account=account)


@blueprint.get("/reset")
def forgotten() -> str:
    return render_template("account/reset.html", values={}, errors={})


@blueprint.post("/reset")
def reset() -> str | tuple[str, int]:
    given = _field("name").strip()
    if not given:
        page = render_template("account/reset.html", values={}, errors={"name": "Give your name or your address."})
        return page, 400
    services().registration.ask_for_reset(given, client_address())
    return _message(
        "Look into your mails",
        "Where there is such an account with a mail address, a link is on its way to it.",
        "An account without an address gets a new password from whoever runs this server.",
    )


@blueprint.get("/reset/<secret>")
def choosing(secret: str) -> str | tuple[str, int]:
    return _choose_page(secret, {})


@blueprint.post("/reset/<secret>")
def choose(secret: str) -> str | tuple[str, int]:
    try:
        services().registration.finish_reset(secret, request.form.get("password", ""), client_address())
    except LinkNotGood:
        return _choose_page(secret, {})
    except InvalidInput as error:
        return _choose_page(secret, problems(error))
    lines = ("Whoever was logged in to your account is logged out.",)
    return _message("Your password is set", *lines, next=url_for("login.form"), next_text="Log in")


def _choose_page(secret: str, errors: dict[str, str]) -> str | tuple[str, int]:
    try:
        account = services().registration.account_of_link(secret, Purpose.RESET)
    except LinkNotGood as error:
        return render_template("account/new_password.html", dead=error.message), 404
    page = render_template("account/new_password.html", account=account, errors=errors)
    return (page, 400) if errors else page


# --- the account -----------------------------------------------------------------------------------------


@blueprint.get("/account")
def account() -> str:
    return _account_page(done=DONE.get(request.args.get("done", ""), ""))


@blueprint.post("/account/password")
def change_password() -> Response | tuple[str, int]:
    visitor = page_account()
    old, new = request.form.get("current", ""), request.form.get("password", "")
    try:
        check_new_password(new)
        changed = services().logins.change_password(visitor, old, new, client_address())
    except WrongLogin:
        return _account_page(section="password", errors={"current": "This is not your password."}), 403
    except InvalidInput as error:
        return _account_page(section="password", errors=problems(error)), 400
    response = make_response(redirect(url_for("account_pages.account", done="password"), 303))
    start_session(response, changed)
    return response


@blueprint.post("/account/logout")
def end_logins() -> Response:
    """End all logins but this one."""
    visitor = page_account()
    changed = services().accounts.end_logins(visitor.name, by=Actor(visitor.name, client_address()))
    response = make_response(redirect(url_for("account_pages.account", done="logout"), 303))
    start_session(response, changed)
    return response


@blueprint.post("/account/tokens")
def make_token() -> tuple[str, int]:
    visitor = page_account()
    name, days, scopes = _field("name"), _field("lifetime"), request.form.getlist("scopes")
    try:
        if days not in LIFETIMES:
            raise InvalidInput("lifetime", errors=[{"path": "lifetime", "message": "choose one of these"}])
        lifetime = int(days) * DAY_SECONDS if days else None
        by = Actor(visitor.name, client_address())
        secret = services().tokens.issue_api(visitor.user_id, name, scopes, lifetime, by=by)
    except InvalidInput as error:
        values = {"name": name, "lifetime": days, "scopes": scopes}
        return _account_page(section="token", errors=problems(error), values=values), 400
    return _account_page(secret=secret), 201


@blueprint.post("/account/tokens/<int:token_id>/revoke")
def revoke_token(token_id: int) -> Response:
    visitor = page_account()
    services().tokens.revoke(token_id, visitor.user_id, by=Actor(visitor.name, client_address()))
    return make_response(redirect(url_for("account_pages.account", done="revoked"), 303))


def _account_page(**shown: Any) -> str:
    visitor = page_account()
    empty = {"name": "", "lifetime": "90", "scopes": [Scope.UPLOAD, Scope.RELEASE]}
    return render_template(
        "account/account.html",
        account=visitor,
        tokens=services().tokens.list_tokens(visitor.user_id),
        lifetimes=LIFETIMES,
        scopes={scope: text for scope, text in SCOPES.items() if visitor.is_operator or scope not in OPERATOR_SCOPES},
        **{"values": empty, "errors": {}, "section": "", "secret": "", "done": "", **shown},
    )


# --- for operators ---------------------------------------------------------------------------------------


@blueprint.get("/audit")
def audit() -> str:
    page_operator()
    actor, subject = request.args.get("actor", "").strip(), request.args.get("subject", "").strip()
    before = min(request.args.get("before", MAX_ROW_NUMBER, type=int), MAX_ROW_NUMBER)
    found = services().audit.latest(AUDIT_PAGE + 1, subject=subject, actor=actor, before=before)
    entries = found[:AUDIT_PAGE]
    return render_template(
        "account/audit.html",
        entries=entries,
        actor=actor,
        subject=subject,
        before=before < MAX_ROW_NUMBER,
        older=entries[-1].number if len(found) > AUDIT_PAGE else None,
    )


# --- what they share -------------------------------------------------------------------------------------


def problems(error: InvalidInput) -> dict[str, str]:
    """The reasons by the field that is wrong; "form" for what concerns all of it."""
    found: dict[str, str] = {}
    for one in error.errors:
        found.setdefault(one["path"].partition(".")[0] or "form", _sentence(one["message"]))
    taken = error.details.get("taken")
    return found or {str(taken or "form"): _sentence(error.message)}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _field(name: str) -> str:
    """A field that comes back to the page, so no longer than a field can be."""
    return request.form.get(name, "")[:400]


def _message(title: str, *lines: str, next: str = "", next_text: str = "") -> str:
    return render_template("account/message.html", title=title, lines=lines, next=next, next_text=next_text)
