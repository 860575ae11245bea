"""``/api/users``: the accounts, for operators."""

from __future__ import annotations

from typing import Any

from knossos.web.openapi.parts import (
    ACCOUNT,
    Paths,
    answer,
    choice,
    const,
    errors,
    flag,
    json_body,
    many,
    obj,
    operation,
    or_null,
    path,
    query,
    ref,
    text,
    whole,
)

TAG = "Users"
ABOUT = "The accounts of this server, for its operators. Names are the same whatever their case."


def schemas() -> dict[str, Any]:
    time = or_null(text("ISO 8601.", example="2026-11-27T23:30:37.000+00:00"))
    user = {
        "name": text(example="dora"),
        "admin": flag("Whether it operates this server."),
        "roles": many(text(), "Besides that."),
        "email": or_null(text()),
        "verified": flag("Whether it can log in already."),
        "disabled": flag(),
        "created": time,
        "last_login": time,
    }
    return {"User": obj("An account.", optional={"link": _link()}, **user)}


def paths() -> Paths:
    which = [path("name", text(example="dora"), "The name of the account.")]
    fields = {
        "password": text("At least 8 characters.", minLength=1),
        "email": or_null(text(example="dora@example.org", minLength=1)),
        "admin": flag(),
        "roles": many(text(minLength=1)),
    }
    listed = obj(users=many(ref("User")), total=whole("On all pages."), page=whole(), pages=whole())
    done = obj(error=const(False), optional={"link": _link()})
    gone = obj(error=const(False), runs=whole("That went with it."), mods=many(text(), "That an operator owns now."))
    return {
        "/api/users": {
            "get": operation(
                "Users by name",
                parameters=[
                    query("q", text(), "In their name or address."),
                    query("page", whole(minimum=1, maximum=10**15)),
                    query("limit", whole(minimum=1, maximum=1000), "Users on a page; 100 by default."),
                ],
                answers={200: answer("The users.", listed), **errors(400, 401, 403)},
                security=ACCOUNT,
                scope="users",
            ),
            "post": operation(
                "Add a user",
                "Without a password an invitation goes to the address; where no mail can be sent, `link` is it.",
                body=json_body(
                    obj(name=text(minLength=1), optional=fields), {"name": "dora", "password": "correct horse"}
                ),
                answers={200: answer("It is there.", ref("User")), **errors(400, 401, 403, 409, 413)},
                security=ACCOUNT,
                scope="users",
            ),
        },
        "/api/users/{name}": {
            "get": operation(
                "One user",
                parameters=which,
                answers={200: answer("The user.", ref("User")), **errors(400, 401, 403, 404)},
                security=ACCOUNT,
                scope="users",
            ),
            "patch": operation(
                "Change a user",
                "What is not sent stays. All of it is done, or nothing. A new password ends logins and tokens at once, "
                "being disabled shuts out at once. The last operator stays one (409), and nobody demotes themselves.",
                parameters=which,
                body=json_body(obj(optional={**fields, "disabled": flag()}), {"admin": True}),
                answers={200: answer("As it is now.", ref("User")), **errors(400, 401, 403, 404, 409, 413)},
                security=ACCOUNT,
                scope="users",
            ),
            "post": operation(
                "Send a link to a new password, or end all logins",
                "Where no mail can be sent to the user, `link` is for you to pass on.",
                parameters=which,
                body=json_body(obj(command=choice(["reset", "logout"])), {"command": "reset"}),
                answers={200: answer("Done.", done), **errors(400, 401, 403, 404, 413)},
                security=ACCOUNT,
                scope="users",
            ),
            "delete": operation(
                "Remove a user",
                "With home, runs and tokens. What they published stays.",
                parameters=which,
                answers={200: answer("It is gone.", gone), **errors(400, 401, 403, 404, 409)},
                security=ACCOUNT,
                scope="users",
            ),
        },
    }


def _link() -> dict[str, Any]:
    return text("Where the user chooses a password, if no mail can be sent.")
