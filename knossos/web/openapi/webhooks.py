"""``/api/1/mod/webhooks...``."""

from __future__ import annotations

from typing import Any

from knossos.publishing.webhook_events import WebhookEvent, WebhookFormat
from knossos.web.openapi.nebula_parts import mod_id, refusals, with_token, worked
from knossos.web.openapi.parts import (
    JSON,
    TOKEN,
    Paths,
    choice,
    form,
    json_body,
    many,
    number,
    obj,
    operation,
    or_null,
    query,
    ref,
    text,
    whole,
)

TAG = "Webhooks"
ABOUT = "Addresses that are told what happens to a mod; operators leave `mid` out, for those that are told of all."


def schemas() -> dict[str, Any]:
    time = or_null(number("Unix time."))
    return {
        "Webhook": obj(
            "A webhook; of its address only the host is shown.",
            id=whole(),
            mid=or_null(text()),
            address=text(),
            format=choice(WebhookFormat),
            events=many(choice(WebhookEvent)),
            created_at=number("Unix time."),
            disabled_at=time,
            last_try_at=time,
            last_result=text(),
        )
    }


def paths() -> Paths:
    address = text(format="uri", example="https://example.org/hook")
    by_form = form(
        url=address, optional={"mid": mod_id(), "format": choice(WebhookFormat), "events": text("By commas.")}
    )
    by_json = json_body(
        obj(
            url=address,
            optional={"mid": or_null(mod_id()), "format": choice(WebhookFormat), "events": many(choice(WebhookEvent))},
        )
    )
    which_form, which_json = form(id=whole(minimum=1, maximum=2**31 - 1)), json_body(obj(id=whole(minimum=1)))
    made = worked("The secret is shown once.", webhook=ref("Webhook"), secret=text())
    found: Paths = {
        "/api/1/mod/webhooks": {
            "get": operation(
                "Webhooks of a mod",
                parameters=[query("mid", mod_id())],
                answers={200: worked("All of them.", webhooks=many(ref("Webhook"))), **refusals(401, 403, 404)},
                security=TOKEN,
                scope="manage",
            )
        }
    }
    for name, summary, body, more, done in (
        ("add", "Add a webhook", by_form, by_json, made),
        ("remove", "Remove a webhook", which_form, which_json, worked("It is gone.")),
        ("test", "Send a ping", which_form, which_json, worked("It is on its way.")),
    ):
        both = {**body, "content": {**body["content"], JSON: more["content"][JSON]}}
        answers = {200: done, **with_token(404)}
        found[f"/api/1/mod/webhooks/{name}"] = {
            "post": operation(summary, body=both, answers=answers, security=TOKEN, scope="manage")
        }
    return found
