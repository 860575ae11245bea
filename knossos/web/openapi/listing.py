"""The document as the page ``/api/docs`` lists it: groups of operations with their fields, answers, and a curl line.

Pure: from the document to frozen dataclasses, with all texts made.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from knossos.web.openapi.outline import about, kind_of, outline
from knossos.web.openapi.parts import JSON, MULTIPART, URLENCODED, XML

#: Who may, by the first scheme that an operation names.
_WHO = {
    "token": "X-KN-TOKEN",
    "session": "Session",
    "bearer": "Authorization: Bearer or X-KN-TOKEN, where the operator wants that",
}
#: Beside a session, where a token of the account counts as well.
_OR_BEARER = ", or Authorization: Bearer"
#: Beside a session, where an operation takes the token of a task.
_OR_TASK = " or token of the task"
#: What a curl line says of them.
_HEADERS = {_WHO["token"]: '"X-KN-TOKEN: $TOKEN"', _WHO["bearer"]: '"Authorization: Bearer $TOKEN"'}


@dataclass(frozen=True)
class Field:
    """A parameter, or a field of a form. ``place`` is ``path``, ``query``, ``header`` or ``form``."""

    name: str
    place: str
    kind: str
    about: str
    required: bool
    example: str
    choices: tuple[str, ...] = ()

    @property
    def is_file(self) -> bool:
        return self.kind == "file"


@dataclass(frozen=True)
class AnswerView:
    status: str
    about: str
    kinds: str
    shape: str

    @property
    def named(self) -> str:
        """The name of the shape, where it is nothing but one of the named ones."""
        return self.shape if self.shape.isidentifier() and self.shape[:1].isupper() else ""


@dataclass(frozen=True)
class OperationView:
    """``send`` is how the body goes: ``""`` for none, ``form``, ``multipart`` or ``json``."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    who: str
    fields: tuple[Field, ...]
    send: str
    body_shape: str
    body_example: str
    answers: tuple[AnswerView, ...]
    curl: str


@dataclass(frozen=True)
class Group:
    id: str
    name: str
    about: str
    operations: tuple[OperationView, ...]


@dataclass(frozen=True)
class Shape:
    """A named shape, to which others refer."""

    name: str
    about: str
    outline: str


def groups(document: Mapping[str, Any]) -> list[Group]:
    """The operations, under the tags in their order."""
    base = document["servers"][0]["url"]
    found: dict[str, list[OperationView]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            found[operation["tags"][0]].append(_operation(base, method.upper(), path, operation))
    return [
        Group(tag["name"].lower().replace(" ", "-"), tag["name"], tag["description"], tuple(found[tag["name"]]))
        for tag in document["tags"]
    ]


def shapes(document: Mapping[str, Any]) -> list[Shape]:
    """The named shapes by their names."""
    schemas = document["components"]["schemas"]
    return [Shape(name, about(schema), outline(schema)) for name, schema in schemas.items()]


def _operation(base: str, method: str, path: str, operation: Mapping[str, Any]) -> OperationView:
    content = operation.get("requestBody", {}).get("content", {})
    form = content.get(URLENCODED) or content.get(MULTIPART)
    fields = [_parameter(parameter) for parameter in operation.get("parameters", ())]
    shape = example = ""
    if form:
        required = form["schema"].get("required", ())
        fields += [
            _field(name, "form", schema, name in required) for name, schema in form["schema"]["properties"].items()
        ]
        send = "form" if URLENCODED in content else "multipart"
    elif JSON in content:
        send, shape = "json", outline(content[JSON]["schema"])
        example = json.dumps(content[JSON].get("example", {}), indent=2)
    else:
        send = ""
    named = [name for one in operation["security"] for name in one]
    who = _WHO[named[0]] if named else ""
    if named[:2] == ["session", "bearer"]:
        who += _OR_BEARER
    if who.startswith(_WHO["session"]) and any(one.get("name") == "token" for one in operation.get("parameters", ())):
        who += _OR_TASK
    return OperationView(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        about=operation["description"],
        who=who,
        fields=tuple(fields),
        send=send,
        body_shape=shape,
        body_example=example,
        answers=tuple(_answer(status, found) for status, found in operation["responses"].items()),
        curl=_curl(base, method, path, fields, send, example, proof=_HEADERS.get(who, "")),
    )


def _parameter(parameter: Mapping[str, Any]) -> Field:
    said = {"description": parameter["description"]} if parameter["description"] else {}
    return _field(parameter["name"], parameter["in"], {**parameter["schema"], **said}, parameter["required"])


def _field(name: str, place: str, schema: Mapping[str, Any], required: bool) -> Field:
    example = str(next(iter(schema.get("examples", ())), ""))
    choices = tuple(map(str, schema.get("enum", ())))
    return Field(name, place, kind_of(schema), about(schema), required, example, choices)


def _answer(status: str, found: Mapping[str, Any]) -> AnswerView:
    content = found.get("content", {})
    shape = next((outline(media["schema"]) for kind, media in content.items() if kind == JSON and media["schema"]), "")
    # Of XML an example says more than a schema.
    shape = shape or content.get(XML, {}).get("example", "")
    plain = set(content) <= {JSON}
    return AnswerView(status, found["description"], "" if plain else ", ".join(sorted(content)), shape)


def _curl(base: str, method: str, path: str, fields: list[Field], send: str, example: str, *, proof: str) -> str:
    """A line for a shell that asks just that, with the examples, and with words in capitals where there is none."""
    values = {field.name: field.example or field.name.upper() for field in fields}
    address = path
    for field in fields:
        if field.place == "path":
            address = address.replace("{" + field.name + "}", values[field.name])
    asked = "&".join(
        f"{field.name}={values[field.name]}"
        for field in fields
        if field.place == "query" and (field.required or field.example or field.name == "token")
    )
    words = ["curl"]
    if method not in ("GET", "POST") or (method == "POST" and not send):
        words += ["-X", method]
    if proof:
        words += ["-H", proof]
    if send == "json":
        words += ["--json", shlex.quote(json.dumps(json.loads(example)))]
    for field in fields:
        if field.place == "form" and (field.required or not any(one.required for one in fields if one.place == "form")):
            value = f"{field.name}=@FILE" if field.is_file else f"{field.name}={values[field.name]}"
            words += ["-F" if send == "multipart" else "--data-urlencode", shlex.quote(value)]
    return " ".join([*words, shlex.quote(base + address + (f"?{asked}" if asked else ""))])
