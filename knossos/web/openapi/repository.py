"""``/storage/...`` and ``/api/1/repo/changes``: what mod managers and mirrors read."""

from __future__ import annotations

from typing import Any

from knossos.web.openapi.nebula_parts import refusals, worked
from knossos.web.openapi.parts import (
    JSON,
    SUM,
    TEXT,
    Paths,
    answer,
    empty,
    flag,
    many,
    obj,
    operation,
    or_null,
    pages,
    path,
    query,
    ref,
    sha256,
    text,
    whole,
)

TAG = "Repository"
ABOUT = (
    "The lists of all that is published, their signatures, and the files. All have strong ETags; files and lists take "
    "`Range`. All origins may read them."
)

_BYTES = ("application/octet-stream",)
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


def schemas() -> dict[str, Any]:
    mod = {name: text() for name in ("id", "title", "version", "type", "first_release", "last_update")}
    return {"ListedMod": obj("A release in the short list.", **mod, stability=or_null(text()), tile=or_null(text()))}


def paths() -> Paths:
    stored = {304: empty("The caller has it already."), 416: empty("Nothing lies in that range."), **pages(400, 404)}
    partly = "A part of it."
    found: Paths = {}
    for name, mods, about in (
        ("repo.json", ref("ReleaseDocument"), "Every release with all its files."),
        ("repo_minimal.json", ref("ListedMod"), "A few lines for each release."),
    ):
        listed = obj(mods=many(mods))
        found[f"/storage/{name}"] = {
            "get": operation(
                f"The list {name}", about, answers={200: answer("The list.", listed), 206: answer(partly), **stored}
            )
        }
        found[f"/storage/{name}.minisig"] = {
            "get": operation(
                f"The signature of {name}",
                "By minisign; its trusted comment names the very list that it is for.",
                answers={200: answer("The signature.", kind=TEXT), 206: answer(partly, kind=TEXT), **stored},
            )
        }
    since = query(
        "since",
        text(example="0"),
        "The number of a change, a day, or a time of RFC 3339. Without it: from the first on.",
    )
    changed = worked(
        "A page of them; go on from `change` while there is `more`.",
        change=whole(),
        more=flag(),
        removed=many(obj(id=text(), version=text())),
        mods=many(ref("ReleaseDocument")),
    )
    file_sum = path("sha256", sha256(), "What the file is known by.")
    return found | {
        "/storage/minisign.pub": {
            "get": operation(
                "The key of the signatures",
                answers={200: answer("For minisign.", kind=TEXT), 206: answer(partly, kind=TEXT), **stored},
            )
        },
        "/storage/{name}": {
            "get": operation(
                "A list, or its signature, by its contents",
                "As the signature names it; it stays for a while after another has come.",
                parameters=[path("name", text(example=f"repo-{SUM}.json"))],
                answers={
                    200: answer("It.", {}, kind=(JSON, TEXT)),
                    206: answer(partly, {}, kind=(JSON, TEXT)),
                    **stored,
                },
            )
        },
        "/storage/files/{sha256}/{name}": {
            "get": operation(
                "A published file",
                "Always a download. Where the operator wants that, the answer leads to the object store.",
                parameters=[file_sum, path("name", text(example="core.7z"), "What it shall be called.")],
                answers={
                    200: answer("The file.", kind=_BYTES),
                    206: answer(partly, kind=_BYTES),
                    302: empty("Where it is."),
                    **stored,
                },
            )
        },
        "/storage/images/{name}": {
            "get": operation(
                "A published image",
                parameters=[path("name", text(example=f"{SUM}.png"), "`<sha256>.<extension>`.")],
                answers={200: answer("The image.", kind=_IMAGES), 206: answer(partly, kind=_IMAGES), **stored},
            )
        },
        "/api/1/repo/changes": {
            "get": operation(
                "What has changed",
                "For those who keep a copy. It has an ETag.",
                parameters=[since],
                answers={200: changed, 304: empty("Nothing has."), **refusals()},
            )
        },
    }
