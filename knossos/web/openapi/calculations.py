"""``/<sha1>/...``: the calculation service."""

from __future__ import annotations

from knossos.web.openapi.parts import HTML, TEXT, Paths, answer, operation, path, query, text

TAG = "Calculations"
ABOUT = (
    "Where the operator offers them: post an `input.xml`; the SHA-1 of its bytes is the address of all that comes of "
    "it. These addresses may lie below a path of the operator's (CALCULATION_PATH). Unless the service is open, each "
    "request has a key, in the header `X-API-Key`, as a bearer token, or as `key` in the query."
)
_XML = ("text/xml", "application/xml")
_STATUS = '<status sha1="..." job="17" state="queued|running|finished|failed|cancelled|unknown">text</status>'
_FILES = '<files sha1="..."><file name="stdout" encoding="utf-8|base64">...</file></files>'


def paths() -> Paths:
    sha1 = path(
        "sha1", text(pattern="^[0-9a-fA-F]{40}$", example="da39a3ee5e6b4b0d3255bfef95601890afd80709"), "Of the input."
    )
    always = [sha1, query("key", text(), "A key of the service, where no header has it.")]
    refused = {
        403: answer("No key, or a wrong one.", kind=TEXT),
        404: answer("There is no such calculation, or it has no such file (yet).", kind=(TEXT, HTML)),
        405: answer("Not in this way.", kind=(TEXT, HTML)),
        503: answer("Something that the server needs does not answer; try again in a moment.", kind=TEXT),
    }
    files = {200: answer(f"`{_FILES}`", kind=_XML[0]), **refused}
    deleted = {200: answer("`0`: it is gone.", kind=TEXT), **refused}
    body = {"required": True, "description": "The `input.xml`.", "content": {"application/xml": {"schema": {}}}}
    return {
        "/{sha1}/": {
            "post": operation(
                "Start a calculation",
                "One that is under way, or has finished, is not started again; one that failed or was cancelled is.",
                parameters=always,
                body=body,
                answers={
                    200: answer("`POST OK`", kind=TEXT),
                    400: answer("The SHA-1 is another one, or this is no XML without entities of its own.", kind=TEXT),
                    411: answer("The request does not say its length.", kind=(TEXT, HTML)),
                    413: answer("The input is too large.", kind=(TEXT, HTML)),
                    **refused,
                },
            ),
            "get": operation(
                "The info.xml that the program wrote",
                parameters=always,
                answers={200: answer("The file; in part, where a part is asked for.", {}, kind=_XML[1]), **refused},
            ),
            "delete": operation(
                "Delete a calculation", "One that is under way is cancelled.", parameters=always, answers=deleted
            ),
        },
        "/{sha1}/status": {
            "get": operation(
                "Where it is",
                "`unknown`: the batch system does not answer for the moment. The header `Link` leads to its page.",
                parameters=always,
                answers={200: answer(f"`{_STATUS}`", kind=_XML[0]), **refused},
            )
        },
        "/{sha1}/stdout": {
            "get": operation(
                "Standard output and standard error", "As far as they have come.", parameters=always, answers=files
            )
        },
        "/{sha1}/import": {"get": operation("All XML files that the program wrote", parameters=always, answers=files)},
        "/{sha1}/files/{name}": {
            "get": operation(
                "One file",
                parameters=[
                    *always,
                    path("name", text(example="info.xml"), "Its path in the calculation's directory."),
                ],
                answers={
                    200: answer("The file; in part, where a part is asked for.", {}, kind="application/octet-stream"),
                    **refused,
                },
            )
        },
        "/{sha1}/delete": {
            "get": operation("Delete a calculation, for old clients", parameters=always, answers=deleted)
        },
    }
