"""``mod/webhooks``: the addresses that are told what happens to a mod, or (operators, without ``mid``) to all mods.

Beside the clients' protocol, in its manner: for the owner's pages and for scripts. The secret is in the answer to
``add`` and nowhere else.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, request

from knossos.accounts.tokens import Scope
from knossos.errors import InvalidInput
from knossos.publishing.webhooks import DEFAULT_EVENTS, WebhookFormat, WebhookView
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import caller, field, json_body, whole_number
from knossos.web.services import services

MAX_ID_CHARS = 128
MAX_URL_CHARS = 2100


@blueprint.get("/mod/webhooks")
def list_webhooks() -> Response:
    """``mid`` (query) -> ``webhooks``."""
    identity = caller(Scope.MANAGE)
    found = services().publisher.webhooks.of_mod(identity, request.args.get("mid", "")[:MAX_ID_CHARS] or None)
    return answer(webhooks=[_shown(webhook) for webhook in found])


@blueprint.post("/mod/webhooks/add")
def add_webhook() -> Response:
    """F or J: ``mid``, ``url``, ``format``, ``events`` -> ``webhook``, ``secret``."""
    identity = caller(Scope.MANAGE)
    mod_id, url, kind, events = _from_json() if request.is_json else _from_form()
    made = services().publisher.webhooks.add(
        identity,
        mod_id or None,
        url,
        kind=kind or WebhookFormat.JSON.value,
        events=events or DEFAULT_EVENTS,
        address=request.remote_addr or "",
    )
    return answer(webhook=_shown(made.webhook), secret=made.secret)


@blueprint.post("/mod/webhooks/remove")
def remove_webhook() -> Response:
    """``id`` -> ``result``."""
    identity = caller(Scope.MANAGE)
    services().publisher.webhooks.remove(identity, _number(), address=request.remote_addr or "")
    return answer()


@blueprint.post("/mod/webhooks/test")
def test_webhook() -> Response:
    """``id`` -> ``result``: a ping is on its way, and ``mod/webhooks`` tells what came of it."""
    identity = caller(Scope.MANAGE)
    services().publisher.webhooks.test(identity, _number())
    return answer()


def _shown(webhook: WebhookView) -> dict[str, Any]:
    data = asdict(webhook)
    return {"id": data.pop("id"), "mid": data.pop("mod_id"), **data}


def _from_form() -> tuple[str, str, str, list[str]]:
    events = [word for text in request.form.getlist("events")[:10] for word in text[:200].replace(",", " ").split()]
    return (
        field("mid", required=False, longest=MAX_ID_CHARS),
        field("url", longest=MAX_URL_CHARS),
        field("format", required=False, longest=20),
        events,
    )


def _from_json() -> tuple[str, str, str, list[str]]:
    data = json_body()
    events = data.get("events") or []
    errors = [
        {"path": name, "message": "expected a text"}
        for name in ("mid", "url", "format")
        if not isinstance(data.get(name) or "", str) or (name == "url" and not data.get(name))
    ]
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
        errors.append({"path": "events", "message": "expected a list of texts"})
    if errors:
        raise InvalidInput("; ".join(f"{error['path']}: {error['message']}" for error in errors), errors=errors)
    return data.get("mid") or "", data["url"], data.get("format") or "", events


def _number() -> int:
    if not request.is_json:
        return whole_number("id", least=1, most=2**31 - 1)
    number = json_body().get("id")
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number < 2**31:
        raise InvalidInput.at("id", "expected a webhook's number")
    return number
