"""Who asks, and what they sent: a person by their session or a token of theirs, and a JSON object."""

from __future__ import annotations

import json
from typing import Any

from flask import request

from knossos.accounts import Account
from knossos.accounts.tokens import Scope
from knossos.errors import AccessDenied, InvalidInput
from knossos.scripting.calls import NotLoggedIn
from knossos.web.authentication import SAFE_METHODS, cookie_holder, is_no_browser, is_same_origin, token_holder


def caller(*scopes: Scope) -> Account:
    """Whose session it is, or whose token, which must have all of the scopes.

    Raises:
        AccessDenied: a page of another site wants to change something; a script asks, with the token of its run; or
            the token is not good, or lacks a scope.
        NotLoggedIn
    """
    if request.method not in SAFE_METHODS:
        refuse_other_pages()
    holder = token_holder() or cookie_holder()
    if holder is None or (holder.caller.account is None and not holder.by_run):
        raise NotLoggedIn("Log in first: POST /api/login with a username and a password. Or send a token.")
    if holder.by_run or holder.caller.account is None:
        raise AccessDenied("A script may not do that in its caller's name.")
    for scope in scopes:
        holder.require(scope)
    return holder.caller.account


def refuse_other_pages() -> None:
    """Raise AccessDenied where a page of another site sent the request; programs may, and our own pages."""
    if not (is_no_browser() or is_same_origin()):
        raise AccessDenied("This was sent from a page of another site.")


def json_object() -> dict[str, Any]:
    """The JSON object that is the request's body. Raises InvalidInput where it is none."""
    try:
        data = json.loads(request.get_data(cache=False))
    except (ValueError, RecursionError) as error:
        raise InvalidInput.at("", f"expected JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput.at("", "expected a JSON object")
    return data


def text_of(data: dict[str, Any], name: str) -> str:
    """A field that is a text, and not an empty one. Raises InvalidInput."""
    value = data.get(name)
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidInput.at(name, "expected a text")
    return value


def whole_number(name: str, most: int = 10**15) -> int | None:
    """A whole number in the query; None where it is not there. Raises InvalidInput."""
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= most):
        raise InvalidInput.at(name, f"expected a whole number from 1 to {most}")
    return int(text)
