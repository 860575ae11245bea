"""Who calls a LinkAhead endpoint: by the cookie, which is a session or a token; by a token in a header; or nobody.

For these endpoints, and only these, a session counts as well for a program's request that changes something: the
client sends neither Origin nor Sec-Fetch-Site. A page of another site always says where it comes from, and there the
cookie does not count. Clients put any token that they are configured with into the cookie.
"""

from __future__ import annotations

from flask import request

from knossos.accounts import COOKIE_NAME
from knossos.accounts.openid import BearerRefused
from knossos.accounts.tokens import Scope
from knossos.errors import AccessDenied
from knossos.scripting.access import Caller, caller_of
from knossos.scripting.calls import NotLoggedIn
from knossos.scripting.credentials import Holder
from knossos.web.authentication import SAFE_METHODS, cookie_holder, is_no_browser, is_same_origin, token_holder
from knossos.web.services import services


def caller(scope: Scope | None = None) -> Caller:
    """Who calls.

    Raises:
        NotLoggedIn: there is a cookie that is not good any more. To act for nobody then would be a surprise, and the
            client logs in again when it is told.
        BearerRefused: a header has a token that is not good.
        AccessDenied: it is a token that lacks the scope.
    """
    holder = token_holder()
    if holder is None and request.cookies.get(COOKIE_NAME) and _cookie_counts():
        holder = cookie_holder() or _holder_of_token(request.cookies[COOKIE_NAME])
    if holder is None:
        return caller_of(None)
    if scope is not None:
        holder.require(scope)
    return holder.caller


def _holder_of_token(cookie: str) -> Holder:
    try:
        return services().credentials.of_token(cookie)
    except AccessDenied as error:
        raise NotLoggedIn("This login, or this token, is not good any more. Log in again.") from error


def reader(scope: Scope) -> Caller:
    """Who reads: as `caller`, but one whose cookie is not good any more is nobody."""
    try:
        return caller(scope)
    except (NotLoggedIn, BearerRefused):
        return caller_of(None)


def refuse_pages_of_other_sites() -> None:
    """Raise AccessDenied where a page of another site sent the request; programs may, and our own pages."""
    if not (is_no_browser() or is_same_origin()):
        raise AccessDenied("This was sent from a page of another site.")


def _cookie_counts() -> bool:
    return request.method in SAFE_METHODS or is_no_browser() or is_same_origin()
