"""``/api/1/mod/...``, apart from releases and webhooks: mods and their teams."""

from __future__ import annotations

from typing import Any

from knossos.publishing.teams import TeamRole
from knossos.web.openapi.nebula_parts import mod_id, refusals, with_token, worked
from knossos.web.openapi.parts import (
    TOKEN,
    Paths,
    answer,
    choice,
    const,
    flag,
    form,
    json_body,
    many,
    obj,
    one_of,
    operation,
    or_null,
    ref,
    sha256,
    text,
)

TAG = "Mods"
ABOUT = "Mods and their teams. Whoever makes a mod is its owner."


def schemas() -> dict[str, Any]:
    role = {"type": "integer", "enum": [int(role) for role in TeamRole]}
    return {
        "Member": obj(
            "Somebody in a team. Roles: " + ", ".join(f"{int(role)} {role.name.lower()}" for role in TeamRole) + ".",
            user=text("The name of the account."),
            role=role,
        )
    }


def paths() -> Paths:
    image = or_null(sha256("The SHA-256 of an image that was uploaded."))
    day = or_null(text("YYYY-MM-DD.", example="2026-01-31"))
    pictures = {"logo": image, "tile": image, "first_release": day}
    kinds = choice(("mod", "tc", "engine", "tool", "ext"))
    new_mod = obj(
        id=mod_id(),
        title=text(example="FreeSpace Port"),
        optional={"type": kinds, "parent": or_null(mod_id()), **pictures},
    )
    not_mine = obj(result=const(False), missing=const(False), reason=text())
    return {
        "/api/1/mod/editable": {
            "get": operation(
                "Mods in which one may publish",
                answers={200: worked("Their ids.", mods=many(text())), **refusals(401, 403)},
                security=TOKEN,
                scope="read",
            )
        },
        "/api/1/mod/is_editable": {
            "post": operation(
                "May I publish in it?",
                body=form(mid=mod_id()),
                answers={
                    200: answer(
                        "Of an unknown id both are true.", one_of(obj(result=const(True), missing=flag()), not_mine)
                    ),
                    **with_token(),
                },
                security=TOKEN,
                scope="read",
            )
        },
        "/api/1/mod/check_id": {
            "post": operation(
                "Is the id free?",
                body=form(id=mod_id(), optional={"title": text()}),
                answers={
                    200: answer(
                        "Yes, or why not.", one_of(obj(result=const(True)), obj(result=const(False), reason=text()))
                    ),
                    **with_token(),
                },
                security=TOKEN,
                scope="read",
            )
        },
        "/api/1/mod/create": {
            "post": operation(
                "Make a mod",
                body=json_body(new_mod, {"id": "fsport", "title": "FreeSpace Port", "type": "mod", "parent": "FS2"}),
                answers={200: worked("It is made."), **with_token(404)},
                security=TOKEN,
                scope="manage",
            )
        },
        "/api/1/mod/update": {
            "post": operation(
                "Change a mod",
                "What is not there stays as it is.",
                body=json_body(
                    obj(id=mod_id(), optional={"title": text(), **pictures}),
                    {"id": "fsport", "title": "FreeSpace Port"},
                ),
                answers={200: worked("It is changed."), **with_token(404)},
                security=TOKEN,
                scope="manage",
            )
        },
        "/api/1/mod/team/fetch": {
            "post": operation(
                "Who is in the team?",
                body=form(mid=mod_id()),
                answers={200: worked("Owners first.", members=many(ref("Member"))), **with_token(404)},
                security=TOKEN,
                scope="read",
            )
        },
        "/api/1/mod/team/update": {
            "post": operation(
                "Change the team",
                "`members` is the whole team as it shall be.",
                body=json_body(
                    obj(mid=mod_id(), members=many(ref("Member"))),
                    {"mid": "fsport", "members": [{"user": "dora", "role": 0}]},
                ),
                answers={200: worked("It is changed."), **with_token(404)},
                security=TOKEN,
                scope="manage",
            )
        },
    }
