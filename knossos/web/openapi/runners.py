"""``/task``, ``/script`` and ``/health``: script-runner's protocol."""

from __future__ import annotations

from typing import Any

from knossos.web.openapi.parts import (
    BEARER,
    JSON,
    Paths,
    answer,
    anything,
    choice,
    const,
    flag,
    keyed,
    many,
    obj,
    one_of,
    operation,
    path,
    ref,
    text,
    whole,
)

TAG = "Runners"
ABOUT = (
    "Commands that the operator has configured: values come from the path, the query and the JSON body, results go "
    "back as JSON. AUTH_PROVIDER says who may call; with `none` it is everybody. `/script/...` does the same as "
    "`/task/...`."
)

_WORDS = {
    400: "A value is missing or cannot be; `errors` says which.",
    401: "It is not known who asks.",
    403: "The caller may not call this runner.",
    404: "There is no such runner, or no such run (any more), or it is somebody else's.",
    405: "There is nothing of the kind at this address.",
    413: "The body is too large.",
    429: "The caller has too many runs already.",
    500: "The operator's file of this runner is broken.",
    503: "Something that the server needs does not answer; try again in a moment.",
}


def schemas() -> dict[str, Any]:
    run_id = text(example="0b0c1ecd-2e40-4d4c-a3a5-46f5d6a7c7d0")
    return {
        "RunnerRefusal": obj(
            "Why something was refused.",
            code=text("A word for programs."),
            description=text("A sentence for people."),
            optional={"message": text("The same."), "errors": many(ref("Problem"))},
        ),
        "RunnerTask": obj("A run that was accepted, or has not ended.", id=run_id, status=const("not-ready")),
        "RunnerResult": obj(
            "What came of a run.",
            id=run_id,
            status=choice(("ready", "failed")),
            optional={
                "results": anything("Rows by column name for CSV, the document for JSON; null where it is too large."),
                "results_link": text("Where results are that are too large."),
                "attachments": keyed(text("Base64."), "Files by their names."),
                "links": keyed(text("An address."), "Files that are too large, by their names."),
                "error": text("What happened, the exit code, and the end of standard error."),
            },
        ),
    }


def paths() -> Paths:
    rest = path("path", text(example="P7"), "A runner's name, where it is not the default one, and the path for it.")
    run_id = path("path", text(example="0b0c1ecd-2e40-4d4c-a3a5-46f5d6a7c7d0"), "The id of the run.")
    asked = "Further parameters of the query and the body are what the runner's inputs say."
    body = {"required": False, "content": {JSON: {"schema": anything(), "example": {"address": {"city": "Oslo"}}}}}
    accepted = {200: answer("The run.", ref("RunnerTask")), **_errors(400, 401, 403, 404, 413, 429, 500)}
    call = operation("Call a runner", asked, parameters=[rest], body=body, answers=accepted, security=BEARER)
    status = operation(
        "Is it ready?",
        parameters=[run_id],
        answers={200: answer("The run.", one_of(ref("RunnerTask"), ref("RunnerResult"))), **_errors(400, 401, 404)},
        security=BEARER,
    )
    parts = [
        path("run_id", text(), "The id of the run."),
        path("number", whole(minimum=0, maximum=10**9), "The number of the file."),
        path("name", text(), "Its name."),
    ]
    file = operation(
        "A file that was too large for the answer",
        "Addresses come with the run; they take Range.",
        parameters=parts,
        answers={200: answer("The file.", kind=("application/octet-stream", JSON)), **_errors(400, 401, 404, 405)},
        security=BEARER,
    )
    health = operation("Is it up?", answers={200: answer("It is.", obj(version=text(), server=flag())), **_errors(400)})
    return {
        "/task": {
            "post": operation("Call the default runner", asked, body=body, answers=accepted, security=BEARER),
        },
        # OpenAPI tells no two paths apart by the names of their parts.
        "/task/{path}": {"get": status, "post": call},
        "/task/{run_id}/files/{number}/{name}": {"get": file},
        "/script/{path}": {"get": status, "post": call},
        "/health": {"get": health},
    }


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: answer(_WORDS[status], ref("RunnerRefusal")) for status in (*statuses, 503)}
