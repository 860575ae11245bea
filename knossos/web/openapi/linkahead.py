"""``/scripting``, ``/login`` for programs, ``/logout``, ``/Info``, ``/Shared/...``: what LinkAhead clients speak."""

from __future__ import annotations

from typing import Any

from knossos.web.openapi.parts import (
    HTML,
    MULTIPART,
    OPTIONAL_ACCOUNT,
    URLENCODED,
    XML,
    Paths,
    Schema,
    answer,
    choice,
    empty,
    file,
    form,
    header,
    obj,
    operation,
    path,
    text,
    why,
)

TAG = "LinkAhead"
ABOUT = (
    "Scripts of this server, as LinkAhead's clients call them. Answers are XML; `code` of an error is its status, and "
    "`reason` a word for programs. The cookie of a login counts for programs as it does for pages; a "
    "token does with the right `run`."
)

_ERROR = '<Response><Error code="401" reason="not_logged_in" description="Log in to run this script."/></Response>'
_SCRIPT = (
    '<Response><script code="0"><call>tables/clean.py --table=.upload_files/a.csv</call>'
    "<stdout>12 rows</stdout><stderr/></script></Response>"
)
_RUN = (
    '<Response><run id="0b0c5a52-..." ticket="17" token="..." status="/api/tasks/17?token=..." '
    'page="/watch/17?token=..."><call>tables/clean.py</call></run></Response>'
)
_USER = '<Response><UserInfo username="dora" realm="Knossos"><Roles><Role>curators</Role></Roles></UserInfo></Response>'
#: What files are that browsers show; all others are downloads of whatever kind.
_FILES = ("text/plain", "text/html", "text/csv", "application/pdf", "image/png", "*/*")


def paths() -> Paths:
    page = "A page, where the field is `name`: the form of the pages."
    return {
        "/scripting": {
            "post": operation(
                "Run a script",
                "The answer comes when it has ended, whatever its exit code; who does not want to wait, or cannot any "
                "longer, is told where to look. At most 20 requests may wait, 8 of one caller.",
                parameters=[header("Prefer", choice(["respond-async"]), "Do not wait.")],
                body=_call(),
                answers={
                    200: answer("It has ended.", kind=XML, example=_SCRIPT),
                    202: answer("It is on its way, and goes on.", kind=XML, example=_RUN),
                    **_errors(400, 401, 403, 404, 413, 503),
                },
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/login": {
            "post": operation(
                "Log in",
                "The answer sets the cookie `SessionToken`.",
                body=form(username=text(example="dora"), password=text()),
                answers={
                    200: answer("Who one is.", kind=XML, example=_USER),
                    303: answer(page, kind=HTML),
                    **{status: _or_page(status) for status in (400, 401, 403, 413, 429, 503)},
                },
            )
        },
        "/logout": {
            method: operation(
                "Log out" if method == "get" else "Log out, as newer clients do",
                "A script that does it makes its token void.",
                answers={200: answer("The cookie is gone.", kind=XML, example="<Response/>"), **_errors(403, 503)},
                security=OPTIONAL_ACCOUNT,
            )
            for method in ("get", "delete")
        },
        "/Info": {
            "get": operation(
                "Who am I?",
                answers={200: answer("With all roles.", kind=XML, example=_USER), **_errors(401, 503)},
                security=OPTIONAL_ACCOUNT,
            )
        },
        "/Shared/{folder}/{name}": {
            "get": operation(
                "A file that a script shared",
                "For those who may run the script, and whose run it was, until it expires.",
                parameters=[
                    path("folder", text(example="0123456789abcdef0123456789abcdef"), "The name of its SHARED_DIR."),
                    path("name", text(example="plot.png"), "Its path in there."),
                ],
                answers={
                    200: answer("The file.", kind=_FILES),
                    206: answer("A part of it.", kind=_FILES),
                    304: empty("The caller has it already."),
                    416: empty("Nothing lies in that range."),
                    **_errors(401, 403, 404, 503),
                },
                security=OPTIONAL_ACCOUNT,
            )
        },
    }


def _call() -> dict[str, Any]:
    """The form of a call. What its arguments are called is up to the caller."""
    fields: dict[str, Schema] = {
        "-p0": text("A positional argument; `-p1`, `-p2`, ... follow it."),
        "-Otable": text("A named one: the script gets `--table=...`."),
    }
    name = text("The script's path.", example="tables/clean.py")
    plain = obj(call=name, optional=fields)
    with_file = obj(
        call=name,
        optional={**fields, "-p1": file("A file: the argument is its path in `.upload_files/`. Any name will do.")},
    )
    return {"required": True, "content": {URLENCODED: {"schema": plain}, MULTIPART: {"schema": with_file}}}


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {status: answer(_why(status), kind=XML, example=_ERROR) for status in statuses}


def _or_page(status: int) -> dict[str, Any]:
    return answer(_why(status), kind=(XML, HTML), example=_ERROR)


def _why(status: int) -> str:
    return "Log in, or log in again." if status == 401 else why(status)
