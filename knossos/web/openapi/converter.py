"""``/api/converter/...`` and ``/api/list_tasks``."""

from __future__ import annotations

from typing import Any

from knossos.web.openapi.parts import (
    SESSION,
    TEXT,
    Paths,
    answer,
    choice,
    const,
    errors,
    flag,
    form,
    keyed,
    many,
    number,
    obj,
    one_of,
    operation,
    or_null,
    query,
    ref,
    text,
    ticket,
    whole,
)

TAG = "Converter"
ABOUT = (
    "Have a mod packaged: send its description, watch the task (`/ws/watcher/<ticket>?token=<token>`), fetch the "
    "repository JSON. What is wrong with a description is told with status 200 and `error: true`."
)

_DESCRIPTION = (
    '{"mods": [{"id": "starlit-passage", "title": "Starlit Passage", "version": "1.2.0", "packages": [{"name": "Core",'
    ' "files": [{"filename": "core.7z", "is_archive": true, "urls": ["https://example.org/core.7z"]}]}]}]}'
)


def schemas() -> dict[str, Any]:
    return {
        "TaskStatus": obj(
            "A task of the converter.",
            state=choice(("WAITING", "WORKING", "DONE")),
            time=number("Unix time of the last change."),
            optional={"runtime": number("Seconds that it took; only of what is done.")},
        ),
        "NotAccepted": obj(
            "A description that breaks the rules; nothing was queued.",
            ticket={"type": "null"},
            token={"type": "null"},
            error=const(True),
            message=text(),
            optional={"errors": many(ref("Problem")), "code": text()},
        ),
    }


def paths() -> Paths:
    accepted = obj("The task.", ticket=whole(example=17), token=text("Whoever has it may watch, stop and retrieve."))
    denied = answer("The key is unknown.", kind=TEXT)
    result = obj(
        json=or_null(text("The repository JSON, as one text.")),
        success=flag(),
        finished=flag(),
        optional={"found": flag("Whether there is such a task; told where there is no result.")},
    )
    return {
        "/api/converter/request": {
            "post": operation(
                "Have a mod packaged",
                "`data` may also be sent as a file. The session of this browser will do instead of a key.",
                body=form(
                    data=text("The description, JSON.", example=_DESCRIPTION),
                    optional={
                        "passwd": text("An API key of this server."),
                        "webhook": text("An address that is told when the task has ended.", format="uri"),
                    },
                ),
                answers={
                    **errors(400),
                    200: answer("The task, or what is wrong.", one_of(accepted, ref("NotAccepted"))),
                    403: denied,
                    413: answer("The description is too large.", ref("NotAccepted")),
                },
                security=SESSION,
            )
        },
        "/api/converter/get_status/{ticket}": {
            "get": operation(
                "How far is it?",
                parameters=[ticket(), query("token", text(), "The task's token.")],
                answers={200: answer("The status.", ref("TaskStatus")), **errors(400, 404)},
                security=SESSION,
            )
        },
        "/api/converter/retrieve": {
            "post": operation(
                "Fetch the result",
                "The result stays for some minutes; fetching it does not remove it.",
                body=form(ticket=text("The number of the task.", example="17"), token=text("Its token.")),
                answers={
                    **errors(400, 413),
                    200: answer("The result, or why there is none.", result),
                    403: answer("The token is another one.", kind=TEXT),
                },
            )
        },
        "/api/list_tasks": {
            "get": operation(
                "All conversions",
                "For operators, or for everyone where the settings say so.",
                answers={
                    **errors(400),
                    200: answer("By ticket.", keyed(ref("TaskStatus"))),
                    403: answer("The caller may not.", kind=TEXT),
                },
                security=SESSION,
            )
        },
    }
