"""Reading what the mod managers send: forms of both kinds, JSON bodies, and the token in ``X-KN-TOKEN`` (or a bearer).

One generation of clients sends multipart (with unquoted field names), the other urlencoded: both are taken everywhere.
"""

from __future__ import annotations

import json
from typing import Any

from flask import request

from knossos.accounts.audit import Actor
from knossos.accounts.tokens import Identity, Scope
from knossos.errors import AccessDenied, InvalidInput
from knossos.web.authentication import TOKEN_HEADER, client_address, header_token, visitor_identity
from knossos.web.services import services

#: Largest JSON body in bytes: the full mod of a release with its list of files.
MAX_JSON_BYTES = 64 * 1024 * 1024
#: Most values in one: a few bytes of JSON may take hundreds in memory. The largest archives need seven for each file.
MAX_JSON_VALUES = 1_000_000


def caller(scope: Scope) -> Identity:
    """Who asks: the owner of the token, or, without one, of the session of one of our own pages.

    Raises:
        TokenExpired: it was good once.
        AccessDenied: there is none, it is wrong, or it was not given ``scope``.
    """
    token = header_token()
    identity = services().tokens.check(token) if token else visitor_identity()
    if identity is None:
        raise AccessDenied(f"This needs a login, or a token in the header {TOKEN_HEADER}.")
    identity.require(scope)
    return identity


def acting(identity: Identity) -> Actor:
    """The caller, as the audit log names them."""
    return Actor(identity.name, client_address())


def field(name: str, *, required: bool = True, longest: int = 4096) -> str:
    """A field of the form; "" where it is missing and not required.

    Raises:
        InvalidInput: it is missing, has a NUL in it, or is longer than ``longest`` characters.
    """
    value = request.form.get(name)
    if value is None and required:
        raise InvalidInput.at(name, "this field is required")
    if value is not None and len(value) > longest:
        raise InvalidInput.at(name, f"expected at most {longest} characters")
    if value is not None and "\0" in value:
        raise InvalidInput.at(name, "expected text without NUL")
    return value or ""


def whole_number(name: str, *, least: int, most: int) -> int:
    """A field of the form that is a whole number. Raises InvalidInput where it is missing or none of these."""
    text = field(name, longest=20).strip()
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise InvalidInput.at(name, f"expected a whole number from {least} to {most}")
    return int(text)


def json_body() -> dict[str, Any]:
    """The JSON object that is the request's body.

    Raises:
        InvalidInput: it is no JSON, no object, nested too deep, or has more values than `MAX_JSON_VALUES`.
        RequestEntityTooLarge: it is larger than `MAX_JSON_BYTES`.
    """
    request.max_content_length = MAX_JSON_BYTES
    body = request.get_data(cache=False)
    # Each value but the first has a comma, or the bracket of what it is in, before it.
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:
        raise InvalidInput.at("", f"expected at most {MAX_JSON_VALUES} values")
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput.at("", f"expected JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInput.at("", "expected a JSON object")
    return data
