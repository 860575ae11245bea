"""The follow-up job that tells a URL that a task has ended.

Owns what is sent, `POST` with the form field `ticket`, and what the answer means. One run is one try
(`knossos.outgoing.webhook`); the pauses between tries and the last word are the engine's. Once the other side has
accepted the request with a 2xx status it is never sent again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knossos.jobs import JobSpec
from knossos.outgoing import OutgoingError, Reply
from knossos.outgoing.webhook import WebhookFailed, accepted, pauses
from knossos.settings import Settings

if TYPE_CHECKING:
    from knossos.jobs import JobContext

#: Bytes of the answer that are looked at.
MAX_ANSWER_BYTES = 64 * 1024


def webhook_spec(url: str, owner: str, settings: Settings) -> JobSpec:
    """The job to submit with `then=`, which puts the ticket into its payload."""
    return JobSpec(
        function="knossos.packaging.webhook.notify",
        kind="webhook",
        # The host alone: the rest of such a URL often is a secret.
        title=f"Webhook of {urlsplit(url).hostname or 'nowhere'}",
        owner=owner,
        payload={"url": url},
        timeout_seconds=2 * (settings.connect_timeout_seconds + settings.read_timeout_seconds) + 30,
        retries=settings.webhook_tries - 1,
        retry_delays_seconds=pauses(settings.webhook_tries),
    )


def notify(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: tell ``payload["url"]`` that ``payload["ticket"]`` has ended; forget the task where the answer says so.

    Raises:
        AddressRefused: the URL may not be reached; no further try.
        OutgoingError, WebhookFailed: this try failed.
    """
    url, ticket = str(payload["url"]), int(payload["ticket"])
    context.info(f"Try {context.attempt} of {context.attempts}: telling {url} that task {ticket} has ended.")
    try:
        with accepted(context.settings, url, context.check, form={"ticket": str(ticket)}) as reply:
            cancelled = _says_cancelled(reply, context)
    except (OutgoingError, WebhookFailed) as error:
        context.warning(f"It failed: {error}")
        raise
    context.info(f"It was accepted with status {reply.status}.")
    if cancelled:
        context.info(f"The answer asks to forget task {ticket}.")
        context.engine.forget(ticket)
    return {"status": reply.status, "cancelled": cancelled}


def _says_cancelled(reply: Reply, context: JobContext) -> bool:
    try:
        answer = json.loads(reply.read(MAX_ANSWER_BYTES))
    except OutgoingError as error:
        context.warning(f"The answer could not be read: {error}")
        return False
    except (ValueError, RecursionError):
        return False  # most webhooks answer nothing, or something for people
    return isinstance(answer, dict) and answer.get("cancelled") is True
