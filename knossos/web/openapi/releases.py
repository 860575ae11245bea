"""``/api/1/mod/release...``, ``mod/json`` and ``mod/list_private``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.release_input import ReleaseInput
from knossos.web.openapi.nebula_parts import mod_id, refusals, version, with_token, worked
from knossos.web.openapi.parts import (
    OPTIONAL_TOKEN,
    SUM,
    TOKEN,
    Paths,
    answer,
    form,
    json_body,
    many,
    obj,
    one_of,
    operation,
    path,
    ref,
    sha256,
    text,
    whole,
)

TAG = "Releases"
ABOUT = (
    "A release is sent as a full mod whose archives and images are uploaded already. It is compared with its archives "
    "in a task for which the request waits; all problems are told at once."
)

_EXAMPLE = {
    "id": "fsport",
    "version": "3.7.0",
    "title": "FreeSpace Port",
    "type": "mod",
    "parent": "FS2",
    "packages": [
        {
            "name": "Core",
            "status": "required",
            "files": [{"filename": "core.7z", "dest": "", "checksum": ["sha256", SUM], "filesize": 1234}],
        }
    ],
}


def schemas() -> dict[str, Any]:
    shapes = {**_shapes(ReleaseDocument, "validation"), **_shapes(ReleaseInput, "validation")}
    sums = one_of({"type": "array", "prefixItems": [{"const": "sha256"}, sha256()]}, sha256())
    for name in ("FileInput", "InstalledFileInput"):
        shapes[name]["properties"]["checksum"] = sums
    whole_mod = shapes["ReleaseDocument"]
    whole_mod["description"] = "A release as the mod managers read it; images and files by their addresses."
    whole_mod.pop("additionalProperties")
    problem_list = many(ref("Problem"))
    return {
        **shapes,
        "Outcome": obj(
            "What came of a release.",
            result={"type": "boolean"},
            errors=problem_list,
            warnings=problem_list,
            ticket=whole("Its task."),
            token=text("The task's token."),
            optional={"reason": text(), "message": text(), "mods": many({})},
        ),
    }


def paths() -> Paths:
    outcome = answer("What came of it.", one_of(ref("Outcome"), ref("Refusal")))
    named = {"mid": mod_id(), "version": version()}
    found: Paths = {}
    for name, summary, about in (
        ("preflight", "Could it be published?", "Before its files are there."),
        ("dry_run", "Check a release", "With its files; stores nothing."),
        ("", "Publish a release", ""),
        ("update", "Change what is said of a release", "Its files and lists of files stay."),
    ):
        found["/api/1/mod/release" + (f"/{name}" if name else "")] = {
            "post": operation(
                summary,
                about,
                body=json_body(ref("ReleaseInput"), _EXAMPLE),
                answers={200: outcome, **with_token(404)},
                security=TOKEN,
                scope="release",
            )
        }
    for name, summary, about, more in (
        ("delete", "Hide a release", "Its version is never used again; what depends on it keeps its files.", {}),
        ("yank", "Withdraw a release", "Only those who depend on it are offered it.", {"reason": text()}),
        ("unyank", "Offer a withdrawn release again", "", {}),
    ):
        found[f"/api/1/mod/release/{name}"] = {
            "post": operation(
                summary,
                about,
                body=form(**named, optional=more),
                answers={200: worked("Done."), **with_token(404)},
                security=TOKEN,
                scope="release",
            )
        }
    return found | {
        "/api/1/mod/release/converted": {
            "post": operation(
                "Publish what the converter has made",
                body=form(
                    ticket=whole(minimum=1, maximum=10**15 - 1, example=17),
                    token=text("The token of the conversion."),
                    optional={"dry_run": text("`1`: only check it.", example="1")},
                ),
                answers={200: outcome, **with_token(404)},
                security=TOKEN,
                scope="release",
            )
        },
        "/api/1/mod/release/report": {
            "post": operation(
                "Tell the team what is wrong",
                body=form(**named, message=text("Up to 20,000 characters.")),
                answers={200: worked("They are told."), **with_token(404)},
                security=TOKEN,
                scope="read",
            )
        },
        "/api/1/mod/list_private": {
            "get": operation(
                "Private releases of one's teams",
                answers={200: worked("The newest 500.", mods=many(ref("ReleaseDocument"))), **refusals(401, 403)},
                security=TOKEN,
                scope="read",
            )
        },
        "/api/1/mod/json/{mod_id}/{version}": {
            "get": operation(
                "One release",
                "Whoever sends a token sees the private ones of their teams, too.",
                parameters=[path("mod_id", mod_id()), path("version", version())],
                answers={
                    200: worked("The full mod, with `owners`.", mod=ref("ReleaseDocument")),
                    **refusals(401, 403, 404),
                },
                security=OPTIONAL_TOKEN,
                scope="read",
            )
        },
    }


def _shapes(model: type[BaseModel], mode: Any) -> dict[str, Any]:
    """The schemas of a model and of all that it is made of, by name."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}", mode=mode)
    return {**schema.pop("$defs", {}), model.__name__: schema}
