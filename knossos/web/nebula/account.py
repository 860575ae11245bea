"""``login``, ``register`` and ``reset_password``: what the mod managers do before they have a token.

Whatever is wrong is told with status 200, ``result: false`` and a ``reason``: one of the clients takes anything but 200
for a broken server. The exception is an unknown account in ``reset_password``, which is a 404.
"""

from __future__ import annotations

import logging

from flask import Response

from knossos.accounts import AccountExists
from knossos.accounts.logins import AccountDisabled, NotVerified, WrongLogin
from knossos.accounts.registration import NoAddress, RegistrationClosed
from knossos.accounts.throttle import TooManyTries
from knossos.errors import AccessDenied, InvalidInput, KnossosError
from knossos.web.authentication import client_address
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import field
from knossos.web.services import services

_log = logging.getLogger(__name__)

#: The protocol's word for each refusal; the first row that fits counts.
REASONS: tuple[tuple[type[KnossosError], str], ...] = (
    (TooManyTries, "too many attempts"),
    (WrongLogin, "invalid login"),
    (NotVerified, "not verified"),
    (AccountDisabled, "account disabled"),
    (AccountExists, "already registered"),
    (RegistrationClosed, "registration closed"),
    (NoAddress, "no email"),
)


@blueprint.post("/login")
def login() -> Response:
    name, password = field("user").strip(), field("password")
    try:
        account = services().logins.log_in(name, password, client_address())
        token = services().tokens.issue_login(account.user_id, since=account.logins_since)
    except NotVerified as error:
        services().registration.send_again(error.user_id)
        return _refused(error)
    except (AccessDenied, TooManyTries) as error:
        return _refused(error)
    _log.info("login of %s with a mod manager", account.name)
    return answer(token=token)


@blueprint.post("/register")
def register() -> Response:
    name, password, email = field("name").strip(), field("password"), field("email").strip()
    try:
        services().registration.register(name, password, email, client_address())
    except (AccessDenied, InvalidInput, TooManyTries) as error:
        return _refused(error)
    return answer()


@blueprint.post("/reset_password")
def reset_password() -> Response:
    name = field("user").strip()
    try:
        services().registration.start_reset(name, client_address())
    except (NoAddress, TooManyTries) as error:
        return _refused(error)
    return answer()


def _refused(error: KnossosError) -> Response:
    reason = next((word for kind, word in REASONS if isinstance(error, kind)), "")
    if not reason:
        # What breaks a rule is named by its field: "invalid name".
        reason = " ".join(["invalid", *(problem["path"] for problem in error.details.get("errors", [])[:1])])
    more = {"retry_after": error.retry_after_seconds} if isinstance(error, TooManyTries) else {}
    return answer(result=False, reason=reason, message=error.message, **more)
