"""``/drop/...``: uploads with a link that a site has signed."""

from __future__ import annotations

from knossos.web.openapi.parts import (
    TEXT,
    Paths,
    answer,
    const,
    file,
    flag,
    form,
    obj,
    one_of,
    operation,
    path,
    sha256,
    text,
)

TAG = "Drops"
ABOUT = (
    "A site lets its visitors upload straight to this server. It makes the link: the Unix time, the hex SHA-256 of its "
    "API key followed by that time, and the index of the key. A link is good for 30 minutes. All origins may use it."
)


def paths() -> Paths:
    refused = obj("Why it was not stored.", error=const(True), message=text())
    stored = obj("Where it is.", error=const(False), url=text())
    link = [
        path("made", text(example="1790000000"), "The Unix time at which the link was made."),
        path("token", sha256(""), "The signature."),
        path("key", text(example="0"), "The index of the key."),
    ]
    statuses = {400: "The form is broken.", 413: "The file is too large.", 507: "The server could not store it."}
    return {
        "/drop/{made}/{token}/{key}": {
            "post": operation(
                "Upload a file",
                parameters=link,
                body=form(file=file("7z, rar, zip, gz, xz or bz2, unless the settings say otherwise.")),
                answers={
                    200: answer("The file's address, or why it was not stored.", one_of(stored, refused)),
                    403: answer("The link is wrong, or drops are off.", kind=TEXT),
                    **{status: answer(about, refused) for status, about in statuses.items()},
                },
            ),
            "options": operation(
                "What browsers ask first", parameters=link, answers={200: answer("Yes.", obj(error=flag()))}
            ),
        }
    }
