"""``/task``, ``/script`` and ``/health``: script-runner's protocol."""

from __future__ import annotations

from typing import Any

from knossos.web.openapi.parts import (
    JSON,
    RUNNER,
    Paths,
    answer,
    anything,
    const,
    empty,
    json_body,
    keyed,
    many,
    obj,
    one_of,
    operation,
    path,
    ref,
    text,
    whole,
    why,
)

TAG = "Runners"
ABOUT = (
    "Commands that the operator has configured, each with what it takes from the path, the query and the body. Who may "
    "call is the operator's choice: accounts of this server, whoever has a token of an issuer, or everybody. All "
    "origins may call, but never with a cookie."
)

_RUN_ID = "0b0c5a52-6f5c-4c4c-9a53-0d4b4f0f1a11"


def schemas() -> dict[str, Any]:
    run_id = text("The id of the run.", example=_RUN_ID)
    return {
        "RunnerAnswer": one_of(
            obj(id=run_id, status=const("not-ready")),
            obj(
                id=run_id,
                status=const("ready"),
                attachments=keyed(text("Base64."), "Files by their names."),
                results=anything("A list of objects, the document, or null where it is too large."),
                optional={
                    "links": keyed(text(), "Addresses of files that are too large, by their names."),
                    "results_link": text("The address of results that are too large."),
                },
            ),
            obj(id=run_id, status=const("failed"), error=text("What happened, and the end of standard error.")),
        ),
        "RunnerError": obj(
            "Why something was refused.",
            code=text("A word for programs."),
            description=text("A sentence for people."),
            optional={
                "message": text("The same."),
                "errors": many(ref("Problem"), "Which value: `path`, `query.season`, `body`, `body.$.address.city`."),
            },
        ),
    }


def paths() -> Paths:
    started = {200: answer("It is on its way.", obj(id=text(example=_RUN_ID), status=const("not-ready")))}
    said = path("path", text(example="P7"), "A runner's name, or what the default one takes; slashes may be in it.")
    body = json_body(anything("Whatever the runner takes."), {"address": {"city": "Oslo"}}) | {"required": False}
    refused = _errors(400, 401, 403, 404, 413, 503)

    def started_by(summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
        about = "Values come from the path, the query and the body, as the runner's file says."
        return operation(summary, about, parameters=parameters, body=body, answers=started | refused, security=RUNNER)

    def status_of() -> dict[str, Any]:
        return operation(
            "What came of it?",
            "Ask until it is ready or has failed.",
            parameters=[path("path", text(example=_RUN_ID), "The id of the run.")],
            answers={200: answer("How it stands.", ref("RunnerAnswer")), **_errors(401, 403, 404, 405, 503)},
            security=RUNNER,
        )

    return {
        "/task": {"post": started_by("Run the default runner")},
        "/task/{path}": {"post": started_by("Run a runner", said), "get": status_of()},
        "/script/{path}": {"post": started_by("Run a runner, as old clients do", said), "get": status_of()},
        "/task/{run_id}/files/{number}/{name}": {
            "get": operation(
                "A file that was too large for the answer",
                "Addresses are in `links` and `results_link`.",
                parameters=[
                    path("run_id", text(example=_RUN_ID), "The id of the run."),
                    path("number", whole(minimum=0, example=2)),
                    path("name", text(example="report.pdf")),
                ],
                answers={
                    200: answer("The file.", {}, kind=("application/octet-stream", JSON)),
                    206: answer("A part of it.", {}, kind=("application/octet-stream", JSON)),
                    304: empty("The caller has it already."),
                    416: empty("Nothing lies in that range."),
                    **_errors(401, 403, 404, 405, 503),
                },
                security=RUNNER,
            )
        },
        "/health": {
            "get": operation(
                "Is it up?",
                "For clients of script-runner.",
                answers={200: answer("It is.", obj(version=text(), server=const(True))), **_errors(503)},
            )
        },
    }


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: answer(_why(status), ref("RunnerError")) for status in statuses}


_WORDS = {401: "No, or no good, proof of who asks.", 405: "This is no address of a run; only calls go there."}


def _why(status: int) -> str:
    return _WORDS.get(status) or why(status)
