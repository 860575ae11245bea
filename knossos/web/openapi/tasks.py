"""``/api/tasks/...``: tasks of every kind, as the pages see them."""

from __future__ import annotations

from typing import Any

from knossos.jobs import JobState
from knossos.web.openapi.parts import (
    JSON,
    OPTIONAL_ACCOUNT,
    Paths,
    answer,
    anything,
    choice,
    const,
    empty,
    errors,
    flag,
    form,
    keyed,
    many,
    number,
    obj,
    operation,
    or_null,
    query,
    ref,
    sha256,
    text,
    ticket,
    whole,
)

TAG = "Tasks"
ABOUT = (
    "What the pages ask for: it may change with them. Whoever has a task's token, its owner and operators may watch "
    "it; for everyone else it is not there."
)


def schemas() -> dict[str, Any]:
    times = {name: or_null(number("Unix time.")) for name in ("started", "ended")}
    shared = {
        "ticket": whole(),
        "kind": text(example="conversion"),
        "title": text(),
        "state": choice(JobState),
        "created": number("Unix time."),
        **times,
        "fraction": or_null(number("How far it is, 0 to 1.")),
        "text": or_null(text("What it is at.")),
    }
    failure = obj(
        code=text(),
        message=text(),
        reasons=many(obj(message=text(), facts=keyed(many(text())), advice=text())),
        advice=text(),
        more=whole("Reasons that are not listed."),
    )
    return {
        "TaskRow": obj(
            "A task in a list.",
            **shared,
            kindName=text("What people call its kind.", example="Conversion"),
            message=or_null(text()),
            watch=text("Its page."),
        ),
        "Task": obj(
            "A task.",
            **shared,
            attempt=whole(),
            attempts=whole(),
            changed=number("Unix time."),
            stage=text("One sentence on what it is at."),
            failure=or_null(failure),
        ),
    }


def paths() -> Paths:
    which = [ticket(), query("token", text(), "The task's token.")]
    done = answer("Done.", obj(error=const(False)))
    package = obj(
        name=text(),
        status=text(),
        files=many(obj(filename=text(), filesize=whole(), sha256=sha256())),
        entries=many({"type": "array"}, "Path, and size in bytes or null."),
        entry_count=whole(),
        total_bytes=or_null(whole()),
    )
    tree = obj(mods=many(obj(id=text(), title=text(), version=text(), packages=many(package))))
    more = flag("Whether there are more of them already.")
    after = query("after", text(example="1700000000000-0"), "The id of the last event that the caller knows.")
    return {
        "/api/tasks": {
            "get": operation(
                "The newest tasks",
                "Those of the visitor; all of them for an operator. It has an ETag.",
                parameters=[query("before", whole(), "Only those with a lower number.")],
                answers={
                    200: answer("Up to 250 of them.", obj(tasks=many(ref("TaskRow")), more=flag())),
                    304: empty("Nothing has changed."),
                    **errors(400, 401, 403),
                },
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}": {
            "get": operation(
                "One task",
                parameters=which,
                answers={200: answer("The task.", ref("Task")), **errors(400, 401, 404)},
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}/events": {
            "get": operation(
                "What has happened",
                "The messages of the WebSocket, for those who cannot use one: `[event, arguments, id]`.",
                parameters=[*which, after],
                answers={
                    200: answer("In order.", obj(messages=many({"type": "array", "minItems": 3}), more=more)),
                    **errors(400, 401, 404),
                },
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}/cancel": {
            "post": operation(
                "Stop it",
                parameters=which,
                answers={200: done, **errors(400, 401, 404, 413)},
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}/answer": {
            "post": operation(
                "Answer its question",
                parameters=which,
                body=form(value=text("The answer.", maxLength=1000)),
                answers={200: done, **errors(400, 401, 404, 413)},
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}/captcha": {
            "get": operation(
                "The picture of its question",
                parameters=which,
                answers={
                    200: answer("The picture.", kind=("image/png", "image/jpeg", "image/gif", "image/webp")),
                    **errors(400, 401, 404),
                },
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}/description": {
            "get": operation(
                "What was sent",
                parameters=which,
                answers={200: answer("The description of a conversion.", anything()), **errors(400, 401, 404)},
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}/result": {
            "get": operation(
                "The repository JSON as a file",
                parameters=which,
                answers={
                    200: answer("The file.", obj(mods=many(anything())), kind=JSON),
                    **errors(400, 401, 404, 409),
                },
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/api/tasks/{ticket}/tree": {
            "get": operation(
                "The result as a tree",
                parameters=which,
                answers={200: answer("Packages, archives, installed files.", tree), **errors(400, 401, 404, 409)},
                security=OPTIONAL_ACCOUNT,
            )
        },
    }
