"""``/scripting``, ``/login``, ``/logout``, ``/Info`` and ``/Shared``: LinkAhead's protocol for scripts."""

from __future__ import annotations

from typing import Any

from knossos.web.openapi.parts import (
    HTML,
    MULTIPART,
    SESSION,
    URLENCODED,
    XML,
    Paths,
    answer,
    empty,
    form,
    obj,
    operation,
    path,
    text,
)

TAG = "Scripts"
ABOUT = (
    "Executables that the operator has installed, called as LinkAhead clients do. A cookie of `/login` says who asks; "
    'a script\'s `--auth-token` is such a cookie, too. Errors are XML: `<Response><Error code="404" reason="..." '
    'description="..."/></Response>`.'
)

_WORDS = {
    400: "The call cannot be; the answer names the field.",
    401: "Log in (again); or the name or the password is wrong.",
    403: "The caller may not; or another site sent this.",
    404: "There is no such thing (any more).",
    413: "The call is too large.",
    429: "Too many wrong passwords, or too many runs that have not ended.",
    500: "The operator's file beside the script is broken.",
    503: "Something does not answer, or too many calls are waited for; try again in a moment.",
}


def paths() -> Paths:
    fields = obj(
        call=text("The script's name.", example="handle_csv.py"),
        optional={
            "-p0": text("The first positional argument; `-p1`, `-p2` and so on follow."),
            "-OName": text("The argument `--Name=...`; any name of letters, digits, `_`, `.` and `-` may follow `-O`."),
        },
    )
    return {
        "/scripting": {
            "post": operation(
                "Call a script",
                "It is answered when the script has ended; with the header `Prefer: respond-async` at once. Files are "
                "kept under their names in `.upload_files/`; where the field is an argument, that is its value.",
                body={"required": True, "content": {kind: {"schema": fields} for kind in (URLENCODED, MULTIPART)}},
                answers={
                    200: answer("What it wrote, and its exit code, whatever that is.", kind=XML),
                    202: answer("It goes on: its `id`, `ticket`, `token`, and where its `status` is.", kind=XML),
                    **_errors(400, 401, 403, 404, 413, 429, 500),
                },
                security=SESSION,
            )
        },
        "/login": {
            "post": operation(
                "Log in",
                "With `name` for `username` it is the form of the page, and answers with pages.",
                body=form(username=text(example="dora"), password=text()),
                answers={
                    200: answer("Who one is; the cookie SessionToken comes with it.", kind=XML),
                    303: answer("The page's form: back to where one came from.", kind=HTML),
                    **{status: answer(_WORDS[status], kind=(XML, HTML)) for status in (400, 401, 403, 413, 429, 503)},
                },
            )
        },
        "/logout": {
            method: operation(
                "Log out",
                answers={200: answer("The cookie is taken back.", kind=XML), **_errors(400, 403)},
                security=SESSION,
            )
            for method in ("get", "delete")
        },
        "/Info": {
            "get": operation(
                "Who am I?",
                answers={200: answer("Name, realm and roles.", kind=XML), **_errors(400, 401)},
                security=SESSION,
            )
        },
        "/Shared/{folder}/{name}": {
            "get": operation(
                "A file that a script shared",
                "For those who may run the script, until it expires.",
                parameters=[
                    path("folder", text(example="5722b023ea91c949152de7e4cdde8682"), "The name of its SHARED_DIR."),
                    path("name", text(example="plot.png"), "The file's name, folders too."),
                ],
                answers={
                    200: answer("The file.", kind="*/*"),
                    304: empty("It is the one that the caller has."),
                    **_errors(400, 401, 403, 404),
                },
                security=SESSION,
            )
        },
    }


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: answer(_WORDS[status], kind=XML) for status in (*statuses, 503)}
