"""The bodies that webhooks are sent: what Discord takes, and what texts of users cannot do there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knossos.publishing.webhook_events import (
    MAX_ERRORS,
    Notice,
    Problem,
    WebhookEvent,
    notice_body,
    problems,
    signature,
)


def notice(event: WebhookEvent = WebhookEvent.RELEASE, **changes: Any) -> Notice:
    values: dict[str, Any] = {
        "event": event, "mod": "fsport", "version": "3.7.0", "title": "FreeSpace Port", "time": 1700000000,
        "url": "https://knossos.example.org/mods/fsport", "delivery": "d",
    }  # fmt: skip
    return Notice(**{**values, **changes})


def discord(given: Notice) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(notice_body(given, "discord"))
    return message


def test_discord_gets_an_embed_that_mentions_nobody() -> None:
    message = discord(notice())
    assert message["allowed_mentions"] == {"parse": []}
    (embed,) = message["embeds"]
    assert embed == {
        "title": "FreeSpace Port 3.7.0 is out",
        "url": "https://knossos.example.org/mods/fsport",
        "color": 0x2E9E5B,
        "timestamp": "2023-11-14T22:13:20Z",
    }


def test_texts_of_users_are_shown_as_they_are_written() -> None:
    title = "**@everyone** [click](https://evil.example) <@123> `x`\n# big \u202egnp"
    shown = discord(notice(title=title))["embeds"][0]["title"]
    assert "\n" not in shown
    assert "\u202e" not in shown
    for markup in ("**", "[click]", "<@", "`x`", "](", " # "):
        assert markup not in shown
    assert shown.replace("\\", "").startswith("**@everyone** [click](https://evil.example) <@123> `x` # big gnp")


@pytest.mark.parametrize("sign", ["x", "*", "@", "\U0001f680"], ids=["letter", "star", "at", "rocket"])
def test_no_message_is_longer_than_discord_takes(sign: str) -> None:
    many = [Problem(path=sign * 400, message=sign * 500)] * MAX_ERRORS
    for event in WebhookEvent:
        (embed,) = discord(notice(event, title=sign * 300, version=sign * 100, errors=many))["embeds"]
        assert 0 < len(embed["title"]) <= 256
        assert len(embed.get("description", "")) <= 4096
        assert len(embed["title"]) + len(embed["description"]) <= 6000


def test_a_long_list_of_problems_says_how_many_more_there_are() -> None:
    found = problems([{"path": "packages[0].name", "message": f"problem {n}"} for n in range(200)])
    assert len(found) == MAX_ERRORS
    text = discord(notice(WebhookEvent.FAILED_VALIDATION, errors=found))["embeds"][0]["description"]
    assert text.startswith("- packages\\[0\\].name: problem 0\n")
    assert text.endswith("and 40 more")


def test_only_a_failed_validation_has_errors_and_odd_ones_are_no_trouble() -> None:
    assert "errors" not in json.loads(notice_body(notice(), "json"))
    found = problems([{"message": 5}, "odd", {"path": "x" * 1000, "message": "\ud800"}])
    body = json.loads(notice_body(notice(WebhookEvent.FAILED_VALIDATION, errors=found), "json"))
    assert [len(error["path"]) for error in body["errors"]] == [0, 500]
    assert problems(None) == []


def test_the_signature_is_the_one_that_the_documentation_computes() -> None:
    # echo -n '1700000000.{"event": "ping"}' | openssl dgst -sha256 -hmac secret
    assert signature("secret", "1700000000", b'{"event": "ping"}') == (
        "sha256=52383c89a310992b54c8ed1a8804ba71dc9584ed5c626e35ca45b1908e536b62"
    )
