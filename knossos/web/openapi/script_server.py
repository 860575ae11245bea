"""``/api/login``, ``/api/run``, ``/api/jobs``, ``/api/files``: people's own scripts and homes (script-server.md)."""

from __future__ import annotations

from typing import Any

from knossos.homes.scripts import JobStatus
from knossos.jobs import Signal
from knossos.scripting.notices.states import NoticeWhen
from knossos.web.openapi.parts import (
    ACCOUNT,
    JSON,
    Paths,
    answer,
    choice,
    const,
    empty,
    errors,
    json_body,
    many,
    obj,
    one_of,
    operation,
    or_null,
    path,
    query,
    ref,
    text,
    whole,
)

TAG = "Homes"
ABOUT = (
    "Scripts that people send, and their homes. All but the login needs a session, or a token. The paths are below "
    "one's home, and none leads out of it."
)

_BYTES = "application/octet-stream"


def schemas() -> dict[str, Any]:
    listed = {"job_id": whole(), "status": choice(JobStatus), "user": text("Whose it is.")}
    time = or_null(text("ISO 8601.", example="2026-11-27T23:30:37.000+00:00"))
    return {
        "ListedJob": obj("A script that was sent, in a list.", **listed),
        "Job": obj(
            "A script that was sent.",
            **listed,
            script=text(),
            out=text("Standard output, so far where it runs."),
            err=text("Standard error, as well."),
            start=time,
            end=time,
            exit_code=or_null(whole()),
            signal=or_null(whole("The signal that ended it.")),
            error=text('What went wrong, "" where nothing did.'),
            dropped_bytes=whole("Bytes of output that were too many."),
            waiting_before=or_null(whole("How many are to begin before it, where it waits.")),
        ),
        "HomeFile": obj(
            "Something in a folder.",
            name=text(),
            mtime=text("ISO 8601."),
            optional={
                "size": whole("In bytes; not for folders."),
                "link": const(True),
                "address": text("The name as addresses have it, where it is no UTF-8."),
            },
        ),
    }


def paths() -> Paths:
    which = [path("path", text(minLength=1, example="results/table.csv"), "Below one's home.")]
    number = [path("job_id", whole(minimum=0, maximum=10**15 - 1, example=17), "The number of the job.")]
    login = json_body(
        obj(username=text(minLength=1), password=text(minLength=1)), {"username": "dora", "password": "correct horse"}
    )
    command = one_of(
        obj(command=choice(["move", "copy"]), to=text(minLength=1)),
        obj(command=const("mkdir"), name=text(minLength=1)),
    )
    listing = answer("What is in it; a zip.", many(ref("HomeFile")), kind=JSON)
    whole_home = {**listing, "content": {**listing["content"], "application/zip": {"schema": {}}}}
    packed = [
        query("zip", text(maxLength=10), "A folder as a zip instead."),
        query("name", many(text(minLength=1)), "Of a zip: only these of the folder's entries."),
    ]
    found = {
        200: answer("The file; what is in a folder.", kind=(JSON, "*/*")),
        206: answer("A part of the file.", kind="*/*"),
        304: empty("It has not changed."),
        416: empty("There is no such part."),
    }
    done = answer("Done.", obj(error=const(False)))
    change = operation(
        "Move, copy, make a folder",
        "Where `to` is a folder, it goes into that. Nothing is replaced.",
        parameters=which,
        body=json_body(command, {"command": "move", "to": "/results/old.csv"}),
        answers={200: done, **errors(400, 401, 403, 404, 409, 413)},
        security=ACCOUNT,
        scope="home",
    )
    return {
        "/api/login": {
            "post": operation(
                "Log in",
                "Sets the cookie of the session.",
                body=login,
                answers={200: answer("Who it is.", obj(username=text())), **errors(400, 401, 403, 413, 429)},
            )
        },
        "/api/logout": {
            "post": operation(
                "Log out",
                answers={200: answer("Done.", obj(username=const(None))), **errors(400, 401, 403)},
                security=ACCOUNT,
            )
        },
        "/api/run": {
            "post": operation(
                "Send a script",
                "It is run in one's home by the interpreter of the setting COMMAND, when its turn has come.",
                parameters=[
                    query("notice", choice(NoticeWhen), "Be told of its end; of each end where only a way is said."),
                    query("notice_mail", choice(("true", "false")), "By mail, to the account's address."),
                    query("notice_webhook", text(), "By POST to this address."),
                ],
                body={"required": True, "content": {_BYTES: {"schema": {}}}},
                answers={
                    200: answer("It waits.", obj(job_id=whole())),
                    **errors(400, 401, 403, 404, 413, 429),
                },
                security=ACCOUNT,
                scope="scripts",
            )
        },
        "/api/jobs": {
            "get": operation(
                "One's jobs",
                "All people's for an operator; newest first, all of them unless `limit` says how many.",
                parameters=[
                    query("before", whole(minimum=1, maximum=10**15), "Only those with a lower number."),
                    query("limit", whole(minimum=1, maximum=1000)),
                ],
                answers={200: answer("The jobs.", many(ref("ListedJob"))), **errors(400, 401, 403)},
                security=ACCOUNT,
                scope="scripts",
            )
        },
        "/api/jobs/{job_id}": {
            "get": operation(
                "One job",
                parameters=number,
                answers={200: answer("The job.", ref("Job")), **errors(400, 401, 403, 404)},
                security=ACCOUNT,
                scope="scripts",
            ),
            "post": operation(
                "End it",
                "Sends TERM or KILL to the interpreter, with all that it has started. Only while it runs.",
                parameters=number,
                body=json_body(obj(command=choice(Signal)), {"command": "terminate"}),
                answers={200: answer("It is sent.", obj(job_id=whole())), **errors(400, 401, 403, 404, 409, 413)},
                security=ACCOUNT,
                scope="scripts",
            ),
        },
        "/api/home": {
            "get": operation(
                "How full one's home is",
                answers={
                    200: answer("In bytes.", obj(used=whole(), quota=whole())),
                    **errors(400, 401, 403),
                },
                security=ACCOUNT,
                scope="home",
            )
        },
        "/api/files/": {
            "get": operation(
                "What is in one's home",
                parameters=packed,
                answers={200: whole_home, **errors(400, 401, 403, 404)},
                security=ACCOUNT,
                scope="home",
            ),
            "post": {
                **operation(
                    "Make a folder in one's home",
                    body=json_body(command, {"command": "mkdir", "name": "results"}),
                    answers={200: done, **errors(400, 401, 403, 404, 409, 413)},
                    security=ACCOUNT,
                    scope="home",
                ),
            },
        },
        "/api/files/{path}": {
            "get": operation(
                "A file, or what is in a folder",
                "Files have an ETag, and come in part where a Range is asked for.",
                parameters=[*which, *packed],
                answers={**found, **errors(400, 401, 403, 404)},
                security=ACCOUNT,
                scope="home",
            ),
            "put": operation(
                "Store a file",
                "It is there when all of it has come, and then at once. Its folder must be there. With the header "
                "`If-None-Match: *` nothing is replaced.",
                parameters=which,
                body={"required": True, "content": {_BYTES: {"schema": {}}}},
                answers={
                    200: answer("It is stored.", obj(size=whole())),
                    **errors(400, 401, 403, 404, 409, 411, 412, 413),
                },
                security=ACCOUNT,
                scope="home",
            ),
            "post": change,
            "delete": operation(
                "Remove a file, or a folder with all it holds",
                parameters=which,
                answers={200: done, **errors(400, 401, 403, 404)},
                security=ACCOUNT,
                scope="home",
            ),
        },
    }
