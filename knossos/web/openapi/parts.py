"""Building blocks of descriptions: schemas, parameters, bodies, answers, operations. Pure data, JSON-ready.

Everything is a plain dict as OpenAPI 3.1 has it; these functions only spare the writing, and keep it even.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

Schema = dict[str, Any]
Operation = dict[str, Any]
#: Path -> method in small letters -> operation.
Paths = dict[str, dict[str, Operation]]

JSON, XML, TEXT, HTML = "application/json", "text/xml", "text/plain", "text/html"
URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"

#: A SHA-256 in lower-case hex.
SUM = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

#: Ways to say who one is; names of the schemes in `document.py`.
TOKEN: list[dict[str, list[str]]] = [{"token": []}, {"session": []}]
OPTIONAL_TOKEN: list[dict[str, list[str]]] = [*TOKEN, {}]
SESSION: list[dict[str, list[str]]] = [{"session": []}, {}]
#: A person, by a session or a token of theirs in either header.
ACCOUNT: list[dict[str, list[str]]] = [{"session": []}, {"bearer": []}, {"token": []}]
OPTIONAL_ACCOUNT: list[dict[str, list[str]]] = [*ACCOUNT, {}]
RUNNER: list[dict[str, list[str]]] = [{"bearer": []}, *TOKEN, {}]


# Schemas


def text(about: str = "", *, example: str | None = None, **more: Any) -> Schema:
    return _described({"type": "string", **more}, about, example)


def whole(about: str = "", *, example: int | None = None, **more: Any) -> Schema:
    return _described({"type": "integer", **more}, about, example)


def number(about: str = "", *, example: float | None = None, **more: Any) -> Schema:
    return _described({"type": "number", **more}, about, example)


def flag(about: str = "") -> Schema:
    return _described({"type": "boolean"}, about)


def const(value: Any, about: str = "") -> Schema:
    return _described({"const": value}, about)


def choice(values: Iterable[str], about: str = "", *, example: str | None = None) -> Schema:
    return _described({"type": "string", "enum": [str(value) for value in values]}, about, example)


def sha256(about: str = "The SHA-256 in hex.") -> Schema:
    return text(about, example=SUM)


def file(about: str = "") -> Schema:
    """A file in a multipart form."""
    return _described({"type": "string", "format": "binary"}, about)


def many(items: Schema, about: str = "", **more: Any) -> Schema:
    return _described({"type": "array", "items": items, **more}, about)


def keyed(values: Schema, about: str = "") -> Schema:
    """An object whose keys are data."""
    return _described({"type": "object", "additionalProperties": values}, about)


def obj(about: str = "", /, *, optional: Mapping[str, Schema] | None = None, **required: Schema) -> Schema:
    """An object. Others may be in it, so that answers can grow."""
    shape = {"type": "object", "properties": {**required, **(optional or {})}}
    if required:
        shape["required"] = list(required)
    return _described(shape, about)


def anything(about: str = "") -> Schema:
    return _described({}, about)


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def ref(name: str) -> Schema:
    """A shape of `components/schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


# Parameters and bodies


def path(name: str, schema: Schema, about: str = "") -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def query(name: str, schema: Schema, about: str = "", *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "description": about, "schema": schema}


def header(name: str, schema: Schema, about: str = "") -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema}


def ticket() -> dict[str, Any]:
    """A task's number in a path."""
    return path("ticket", whole(minimum=0, maximum=10**15 - 1, example=17), "The number of the task.")


def form(*, optional: Mapping[str, Schema] | None = None, **required: Schema) -> dict[str, Any]:
    """A form, multipart or, unless it has a file, URL-encoded too."""
    shape = obj(optional=optional, **required)
    has_file = any(field.get("format") == "binary" for field in shape["properties"].values())
    kinds = (MULTIPART,) if has_file else (URLENCODED, MULTIPART)
    return {"required": bool(required), "content": {kind: {"schema": shape} for kind in kinds}}


def json_body(schema: Schema, example: Any = None) -> dict[str, Any]:
    return {"required": True, "content": {JSON: _media(schema, example)}}


# Answers


def answer(
    about: str, schema: Schema | None = None, *, kind: str | Iterable[str] = JSON, example: Any = None
) -> dict[str, Any]:
    """An answer with a body of one of the kinds; ``schema`` None: text or bytes of any kind."""
    kinds = [kind] if isinstance(kind, str) else list(kind)
    found = {"type": "string"} if schema is None and kinds[0].startswith("text/") else schema
    return {"description": about, "content": {one: _media(found or {}, example) for one in kinds}}


def empty(about: str) -> dict[str, Any]:
    """An answer without a body."""
    return {"description": about}


def errors(*statuses: int) -> dict[int, dict[str, Any]]:
    """Refusals as all JSON answers of this server tell them, outside of ``/api/1/``."""
    return {status: answer(why(status), ref("Error")) for status in (*statuses, 503)}


def pages(*statuses: int) -> dict[int, dict[str, Any]]:
    """Refusals as pages for people."""
    return {status: answer(why(status), kind=HTML) for status in (*statuses, 503)}


def operation(
    summary: str,
    about: str = "",
    *,
    parameters: Iterable[dict[str, Any]] = (),
    body: dict[str, Any] | None = None,
    answers: Mapping[int, dict[str, Any]],
    security: list[dict[str, list[str]]] | None = None,
    scope: str = "",
) -> Operation:
    """An operation.

    Args:
        summary: what it is for, in a few words; ``about`` may say more.
        security: who may; None: everyone.
        scope: the right that a token needs for it.
    """
    described = " ".join(filter(None, (about, f"A token needs the right `{scope}`." if scope else "")))
    made: Operation = {"summary": summary, "description": described, "security": security or []}
    if found := list(parameters):
        made["parameters"] = found
    if body is not None:
        made["requestBody"] = body
    made["responses"] = {str(status): answers[status] for status in sorted(answers)}
    return made


_WORDS = {
    400: "The request is not in order; the text says what was expected.",
    401: "The token was good once and has expired.",
    403: "No, or a wrong, proof of who asks; or they may not.",
    404: "There is no such thing, or the caller may not know of it.",
    409: "It has not ended yet.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    503: "Something that the server needs does not answer; try again in a moment.",
}


def why(status: int) -> str:
    """What an error status means, in the words of all descriptions."""
    return _WORDS.get(status) or HTTPStatus(status).phrase


def _media(schema: Schema, example: Any) -> dict[str, Any]:
    return {"schema": schema} if example is None else {"schema": schema, "example": example}


def _described(schema: Schema, about: str, example: Any = None) -> Schema:
    if about:
        schema["description"] = about
    if example is not None:
        schema["examples"] = [example]
    return schema
