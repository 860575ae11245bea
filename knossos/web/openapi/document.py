"""The whole document: what each module describes, put together."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

from knossos import __version__
from knossos.accounts import COOKIE_NAME
from knossos.web.openapi import (
    about_server,
    accounts,
    calculations,
    converter,
    drops,
    linkahead,
    mods,
    releases,
    reports,
    repository,
    runners,
    runs,
    schedules,
    script_server,
    tasks,
    uploads,
    users,
    webhooks,
)
from knossos.web.openapi.parts import const, many, obj, text

#: In the order in which they are shown.
MODULES: tuple[ModuleType, ...] = (
    converter,
    drops,
    tasks,
    script_server,
    users,
    linkahead,
    runners,
    runs,
    schedules,
    accounts,
    mods,
    releases,
    uploads,
    webhooks,
    repository,
    reports,
    calculations,
    about_server,
)

ABOUT = (
    "Everything that programs can ask this server for. Forms are taken URL-encoded and multipart; every GET answers "
    "HEAD as well. Paths and shapes are fixed, unless it is said that they are not; answers may get further fields."
)


def document(base: str) -> dict[str, Any]:
    """The OpenAPI document of this server; ``base`` is its public address. Nobody changes what is in it."""
    return {**_everything(), "servers": [{"url": base}]}


@cache
def _everything() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = _shared()
    for module in MODULES:
        for path, operations in module.paths().items():
            for method, operation in operations.items():
                about = {"operationId": operation_id(method, path), "tags": [module.TAG], **operation}
                paths.setdefault(path, {})[method] = about
        if hasattr(module, "schemas"):
            schemas |= module.schemas()
    return {
        "openapi": "3.1.0",
        "info": {"title": "Knossos", "version": __version__, "description": ABOUT},
        "tags": [{"name": module.TAG, "description": module.ABOUT} for module in MODULES],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-KN-TOKEN",
                    "description": "A token from `/api/1/login` or from `/account`.",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token from `/account` with the right that is named, a session, or for runners "
                    "one of the issuer that the operator trusts.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE_NAME,
                    "description": "The session of a browser that is logged in, for requests from this server's pages.",
                },
            },
        },
    }


def operation_id(method: str, path: str) -> str:
    """A name that stays: the method, and the words of the path."""
    return "_".join([method, *path.lower().replace("{", "").replace("}", "").replace(".", "_").strip("/").split("/")])


def _shared() -> dict[str, Any]:
    problem = obj("Something that is wrong, and where.", path=text(example="mods.0.version"), message=text())
    return {
        "Problem": problem,
        "Error": obj(
            "Why something was refused.",
            error=const(True),
            code=text("A word for programs."),
            message=text("A sentence for people."),
            optional={"errors": many({"$ref": "#/components/schemas/Problem"})},
        ),
        "Refusal": obj(
            "Why something was refused.",
            result=const(False),
            reason=text("A word for programs."),
            message=text("A sentence for people."),
            optional={"errors": many({"$ref": "#/components/schemas/Problem"})},
        ),
    }
