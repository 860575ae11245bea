"""The follow-up job that tells a URL that a task has ended.

Owns the request: `POST` with the form field `ticket`, through the same guard as all outgoing requests. One run is one
try; the pauses between tries and the last word are the engine's. Once the other side has accepted the request with a
2xx status it is never sent again, whatever comes or does not come within `ANSWER_SECONDS` after that status.
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knossos.errors import InvalidInput, KnossosError
from knossos.jobs import JobSpec
from knossos.outgoing import AddressRefused, AnswerTooSlow, Guard, OutgoingError, OutgoingHttp, Reply
from knossos.settings import Settings

if TYPE_CHECKING:
    from knossos.jobs import JobContext

#: Seconds before the second, third, ... try; the last one holds for all further tries.
PAUSES = (10, 60, 300, 900)
#: Longest URL in characters.
MAX_URL_CHARS = 2000
#: Bytes of the answer that are looked at.
MAX_ANSWER_BYTES = 64 * 1024
#: Seconds after which an accepted webhook is not listened to any longer.
ANSWER_SECONDS = 20.0


class WebhookFailed(KnossosError):
    """The webhook ``url`` answered with ``status``, which is not a success."""

    code = "webhook_failed"
    retryable = True


def check_webhook_url(url: str, settings: Settings) -> None:
    """Refuse a webhook when it comes in, as far as that is possible without asking a name server.

    Raises:
        InvalidInput: it is no http or https URL, is too long, or names an address that is not public and not
            allowed. Its `errors` have the path ``webhook``.
    """
    try:
        if len(url) > MAX_URL_CHARS:
            raise InvalidInput(f"webhook: expected a URL of at most {MAX_URL_CHARS} characters")
        Guard(settings.allowed_private_networks).check_url(url)
    except (AddressRefused, InvalidInput) as error:
        message = str(error)
        raise InvalidInput(message, errors=[{"path": "webhook", "message": message}]) from error


def webhook_spec(url: str, owner: str, settings: Settings) -> JobSpec:
    """The job to submit with `then=`, which puts the ticket into its payload."""
    further = settings.webhook_tries - 1
    delays = (PAUSES + PAUSES[-1:] * further)[:further]
    return JobSpec(
        function="knossos.packaging.webhook.notify",
        kind="webhook",
        # The host alone: the rest of such a URL often is a secret.
        title=f"Webhook of {urlsplit(url).hostname or 'nowhere'}",
        owner=owner,
        payload={"url": url},
        timeout_seconds=2 * (settings.connect_timeout_seconds + settings.read_timeout_seconds) + 30,
        retries=further,
        retry_delays_seconds=delays,
    )


def notify(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: tell ``payload["url"]`` that ``payload["ticket"]`` has ended; forget the task where the answer says so.

    Raises:
        AddressRefused: the URL may not be reached; no further try.
        OutgoingError, WebhookFailed: this try failed.
    """
    url, ticket = str(payload["url"]), int(payload["ticket"])
    context.info(f"Try {context.attempt} of {context.attempts}: telling {url} that task {ticket} has ended.")
    http = OutgoingHttp(context.settings)
    deadline = math.inf

    def check() -> None:
        context.check()
        if time.monotonic() > deadline:
            raise AnswerTooSlow(f"{url}: the answer takes too long", url=url)

    try:
        with http.open(url, form={"ticket": str(ticket)}, check=check) as reply:
            if not 200 <= reply.status < 300:
                raise WebhookFailed(f"{url} answers {reply.status}", url=url, status=reply.status)
            deadline = time.monotonic() + ANSWER_SECONDS
            cancelled = _says_cancelled(reply, context)
    except (OutgoingError, WebhookFailed) as error:
        context.warning(f"It failed: {error}")
        raise
    finally:
        http.close()
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
