"""What all descriptions of ``/api/1/`` share: answers with ``result``, and refusals with a ``reason``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knossos.web.openapi.parts import Schema, answer, const, obj, one_of, ref, text

_WHY = {
    400: "The request is not in order; `message` and `errors` say what was expected.",
    401: "The token was good once and has expired. Log in again.",
    403: "The token is wrong, or lacks the right.",
    404: "There is no such mod, upload or task, or the caller may not know of it.",
    413: "The body is too large.",
    500: "The server could not store what was sent.",
    503: "Something that the server needs does not answer; try again in a moment.",
}


def mod_id() -> Schema:
    return text("The id of a mod.", example="fsport")


def version() -> Schema:
    return text("Three whole numbers, and perhaps a pre-release.", example="3.7.0")


def worked(about: str, *, optional: Mapping[str, Schema] | None = None, **fields: Schema) -> dict[str, Any]:
    """Status 200: it worked, with those fields; or it was refused."""
    return answer(about, one_of(obj(result=const(True), optional=optional, **fields), ref("Refusal")))


def refusals(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: answer(_WHY[status], ref("Refusal")) for status in (400, *statuses, 503)}


def with_token(*statuses: int) -> dict[int, dict[str, Any]]:
    """Refusals of what takes a token and a body."""
    return refusals(401, 403, 413, *statuses)
