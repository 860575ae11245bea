"""``/api/1/upload/...`` and ``/api/1/multiupload/...``: images, and files in parts."""

from __future__ import annotations

from typing import Any

from knossos.publishing.uploads import PART_BYTES
from knossos.web.openapi.nebula_parts import with_token, worked
from knossos.web.openapi.parts import (
    SUM,
    TEXT,
    TOKEN,
    Operation,
    Paths,
    answer,
    const,
    file,
    flag,
    form,
    many,
    obj,
    one_of,
    operation,
    or_null,
    ref,
    sha256,
    text,
    whole,
)

TAG = "Uploads"
ABOUT = (
    f"A file is known by its SHA-256. Parts have {PART_BYTES:,} bytes but for the last, are numbered from 0, and may "
    "come in any order, three at once, and again. An upload goes on where it was, whatever was restarted."
)


def paths() -> Paths:
    upload = text("The SHA-256 of the whole file.", example=SUM)
    part = whole(minimum=0, maximum=2**53, example=0)
    old = {
        "content_checksum": text("A sum of what is inside, of old clients."),
        "vp_checksum": text("Another one."),
    }
    known = obj(result=const(True), checksum=text(), filesize=whole(), vp_checksum=or_null(text()))
    unknown = obj(result=const(False))

    def post(summary: str, about: str, body: dict[str, Any], done: dict[str, Any]) -> dict[str, Operation]:
        answers = {200: done, **with_token(404)}
        return {"post": operation(summary, about, body=body, answers=answers, security=TOKEN, scope="upload")}

    return {
        "/api/1/upload/check": post(
            "Is the file here already?",
            "",
            form(optional={"checksum": upload, "content_checksum": old["content_checksum"]}),
            answer("What is known of it, or `result: false`.", one_of(known, unknown)),
        ),
        "/api/1/upload/file": post(
            "Upload an image",
            "PNG, JPEG, GIF or WebP.",
            form(checksum=sha256(), file=file("The image."), optional=old),
            worked("It is stored."),
        ),
        "/api/1/multiupload/start": post(
            "Begin, or go on",
            "",
            form(id=upload, size=whole("Bytes.", minimum=0, maximum=2**53, example=1234), parts=part),
            worked("What is here already.", done=flag("The whole file is."), finished_parts=many(whole())),
        ),
        "/api/1/multiupload/part": post(
            "Send a part",
            "",
            form(id=upload, part=part, file=file("The bytes.")),
            answer("`OK`; or, as JSON, why not.", one_of(ref("Refusal"), text()), kind=(TEXT, "application/json")),
        ),
        "/api/1/multiupload/verify_part": post(
            "Did a part arrive well?",
            "",
            form(id=upload, part=part, checksum=sha256("The SHA-256 of the part.")),
            worked("It did."),
        ),
        "/api/1/multiupload/finish": post(
            "All parts are here",
            "May be asked again; a slow one does not start over.",
            form(id=upload, optional={"checksum": sha256(), **old}),
            worked("The file is stored."),
        ),
    }
