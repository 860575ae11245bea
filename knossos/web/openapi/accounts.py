"""``/api/1/login``, ``register`` and ``reset_password``."""

from __future__ import annotations

from knossos.web.openapi.nebula_parts import refusals, worked
from knossos.web.openapi.parts import Paths, form, operation, text

TAG = "Accounts"
ABOUT = (
    "What mod managers do before they have a token. Tokens for programs are made on `/account`, with the rights that "
    "they need. Whatever is wrong is told with status 200, `result: false` and a `reason`."
)


def paths() -> Paths:
    name = text("The name of an account.", example="dora")
    password = text(format="password")
    return {
        "/api/1/login": {
            "post": operation(
                "Log in",
                body=form(user=name, password=password),
                answers={200: worked("A token for the header X-KN-TOKEN.", token=text()), **refusals(413)},
            )
        },
        "/api/1/register": {
            "post": operation(
                "Make an account",
                "A mail with a link follows.",
                body=form(name=name, password=password, email=text(format="email", example="dora@example.org")),
                answers={200: worked("The account waits for its link."), **refusals(413)},
            )
        },
        "/api/1/reset_password": {
            "post": operation(
                "Forgotten password",
                "A mail with a link follows.",
                body=form(user=name),
                answers={200: worked("The mail is on its way."), **refusals(404, 413)},
            )
        },
    }
