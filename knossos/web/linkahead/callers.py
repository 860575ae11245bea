"""Who calls a LinkAhead endpoint: by the cookie, which is a session or the token of a run; or nobody.

For these endpoints, and only these, a session counts as well for a program's request that changes something: the
client sends neither Origin nor Sec-Fetch-Site. A page of another site always says where it comes from, and there the
cookie does not count.
"""

from __future__ import annotations

from flask import request

from knossos.accounts import COOKIE_NAME
from knossos.errors import AccessDenied
from knossos.scripting.access import Caller, caller_of
from knossos.scripting.calls import NotLoggedIn
from knossos.web.authentication import SAFE_METHODS, cookie_holder, is_no_browser, is_same_origin


def caller() -> Caller:
    """Who calls.

    Raises:
        NotLoggedIn: there is a cookie that is not good any more. To act for nobody then would be a surprise, and the
            client logs in again when it is told.
    """
    if not request.cookies.get(COOKIE_NAME) or not _cookie_counts():
        return caller_of(None)
    holder = cookie_holder()
    if holder is None:
        raise NotLoggedIn("This login, or this token, is not good any more. Log in again.")
    return holder.caller


def reader() -> Caller:
    """Who reads: as `caller`, but one whose cookie is not good any more is nobody."""
    try:
        return caller()
    except NotLoggedIn:
        return caller_of(None)


def refuse_pages_of_other_sites() -> None:
    """Raise AccessDenied where a page of another site sent the request; programs may, and our own pages."""
    if not (is_no_browser() or is_same_origin()):
        raise AccessDenied("This was sent from a page of another site.")


def _cookie_counts() -> bool:
    return request.method in SAFE_METHODS or is_no_browser() or is_same_origin()
