"""What webhooks tell, as data: the events, the body as JSON or as a Discord message, and the signature. Pure.

What always holds: a body is the same at each try, so that a receiver who sees the same delivery twice sees the same
bytes; a Discord message keeps to Discord's limits, mentions nobody, and shows a mod's texts as they are written.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unicodedata
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class WebhookEvent(StrEnum):
    #: A version of a mod was published.
    RELEASE = "release"
    #: A version was deleted: it is not offered any more.
    DELETION = "deletion"
    #: A version was sent in and refused by the checks.
    FAILED_VALIDATION = "failed_validation"
    #: Somebody tries the webhook. It cannot be chosen: every webhook gets its own.
    PING = "ping"


class WebhookFormat(StrEnum):
    JSON = "json"
    DISCORD = "discord"


#: Problems of a failed validation that are told one by one, and the longest text of one in characters.
MAX_ERRORS = 50
MAX_ERROR_CHARS = 500

#: Discord's limits in characters, and ours on the problems listed there.
DISCORD_TITLE = 256
DISCORD_DESCRIPTION = 4096
DISCORD_ERRORS = 10

_COLOURS = {
    WebhookEvent.RELEASE: 0x2E9E5B,
    WebhookEvent.DELETION: 0x8A8A8A,
    WebhookEvent.FAILED_VALIDATION: 0xC0392B,
    WebhookEvent.PING: 0x3A6EA5,
}
_MARKDOWN = re.compile(r"([\\*_~`|>#\[\]()<@:\-+])")


class Problem(BaseModel):
    model_config = ConfigDict(frozen=True)

    path: str
    message: str


class Notice(BaseModel):
    """One event, as it goes to one webhook."""

    model_config = ConfigDict(frozen=True)

    event: WebhookEvent
    #: "" in a ping of a webhook for all mods.
    mod: str
    version: str
    title: str
    #: Where people can read about it.
    url: str
    #: Unix time in seconds.
    time: int
    #: The same at each try of the same event for the same webhook.
    delivery: str
    #: Who did it; "" where that is not known.
    user: str = ""
    errors: list[Problem] = []


def notice_body(notice: Notice, kind: str) -> bytes:
    """The body of the request."""
    data = _discord(notice) if kind == WebhookFormat.DISCORD else _json(notice)
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``X-Knossos-Signature-256``: ``sha256=`` and the HMAC-SHA256 of the time stamp, a dot and the body."""
    key = secret.encode("utf-8")
    return "sha256=" + hmac.new(key, timestamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


def notice_headers(notice: Notice, secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a try that is made at ``timestamp`` (Unix time in seconds)."""
    return {
        "Content-Type": "application/json",
        "X-Knossos-Event": notice.event.value,
        "X-Knossos-Delivery": notice.delivery,
        "X-Knossos-Timestamp": str(timestamp),
        "X-Knossos-Signature-256": signature(secret, str(timestamp), body),
    }


def problems(errors: Any) -> list[Problem]:
    """The first problems of a list of ``{"path", "message"}``, with what is too long cut."""
    if not isinstance(errors, list):
        return []
    return [
        Problem(
            path=plain_text(str(error.get("path", ""))),
            message=plain_text(str(error.get("message", ""))),
        )
        for error in errors[:MAX_ERRORS]
        if isinstance(error, dict)
    ]


def plain_text(value: Any) -> str:
    """A text that somebody sent, without halves of surrogate pairs, and not too long; "" for what is none."""
    return _cut(value.encode("utf-8", "replace").decode("utf-8"), MAX_ERROR_CHARS) if isinstance(value, str) else ""


def _json(notice: Notice) -> dict[str, Any]:
    data = notice.model_dump(mode="json")
    if notice.event is not WebhookEvent.FAILED_VALIDATION:
        del data["errors"]
    return data


def _discord(notice: Notice) -> dict[str, Any]:
    title, version = _plain(notice.title or notice.mod), _plain(notice.version)
    heading = {
        WebhookEvent.RELEASE: f"{title} {version} is out",
        WebhookEvent.DELETION: f"{title} {version} was deleted",
        WebhookEvent.FAILED_VALIDATION: f"{title} {version} was refused",
        WebhookEvent.PING: f"This webhook is told of {title or 'all mods'}",
    }[notice.event]
    lines = [
        f"- {f'{_plain(problem.path)}: ' if problem.path else ''}{_plain(problem.message)}"
        for problem in notice.errors[:DISCORD_ERRORS]
    ]
    if len(notice.errors) > DISCORD_ERRORS:
        lines.append(f"and {len(notice.errors) - DISCORD_ERRORS} more")
    embed: dict[str, Any] = {
        "title": _cut(heading, DISCORD_TITLE),
        "color": _COLOURS[notice.event],
        "timestamp": _iso(notice.time),
    }
    if notice.url:
        embed["url"] = notice.url
    if lines:
        embed["description"] = _cut_lines(lines, DISCORD_DESCRIPTION)
    return {"username": "Knossos", "embeds": [embed], "allowed_mentions": {"parse": []}}


def _plain(text: str) -> str:
    """A text on one line that Discord shows as it is written: no markup, no mention, nothing that turns the line."""
    line = " ".join(text.split())
    return _MARKDOWN.sub(r"\\\1", "".join(sign for sign in line if unicodedata.category(sign) not in ("Cc", "Cf")))


def _cut(text: str, longest: int) -> str:
    # A backslash at the cut would escape the sign of the cut.
    return text if len(text) <= longest else text[: longest - 1].rstrip("\\") + "…"


def _cut_lines(lines: list[str], longest: int) -> str:
    """As many whole lines as fit, at least a part of the first."""
    text = _cut(lines[0], longest)
    for line in lines[1:]:
        if len(text) + 1 + len(line) > longest:
            break
        text += "\n" + line
    return text


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
