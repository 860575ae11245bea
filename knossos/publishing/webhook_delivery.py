"""The job that tells one webhook of one event.

One run is one try; the pauses between tries and the last word are the engine's. The address and the secret are read
when it runs, so a webhook that was removed hears nothing more, and one that answers 410 is switched off. Log lines and
failures name the host alone: the rest of such an address often is a secret.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knossos.database import Database, of_this_process
from knossos.errors import KnossosError
from knossos.outgoing import OutgoingError
from knossos.outgoing.webhook import WebhookFailed, accepted, impatient, what_happened
from knossos.publishing.tables import Webhook
from knossos.publishing.webhook_events import Notice, notice_body, notice_headers
from knossos.publishing.webhooks import mark

if TYPE_CHECKING:
    from knossos.jobs import JobContext

#: The status by which an address says that it will never be there again.
GONE = 410


class DeliveryFailed(KnossosError):
    """This try failed. ``webhook`` is its number; ``retryable`` whether a further try may help."""

    code = "delivery_failed"


def deliver(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: tell the webhook ``payload["webhook"]`` of ``payload["notice"]``.

    Raises:
        DeliveryFailed: this try failed, and whether another one may help.
    """
    database = of_this_process(context.settings)
    try:
        return _deliver(context, database, payload)
    finally:
        database.close()


def _deliver(context: JobContext, database: Database, payload: dict[str, Any]) -> dict[str, Any]:
    number, notice = int(payload["webhook"]), Notice.model_validate(payload["notice"])
    with database.reading() as session:
        webhook = session.get(Webhook, number)
    if webhook is None or mark(webhook) != payload["mark"] or webhook.disabled_at is not None:
        context.info("The webhook was removed or switched off meanwhile.")
        return {"delivered": False}
    host = urlsplit(webhook.url).hostname or "nowhere"
    context.info(f"Try {context.attempt} of {context.attempts}: telling {host} of {notice.event} {notice.delivery}.")
    body = notice_body(notice, webhook.format)
    headers = notice_headers(notice, webhook.secret, int(time.time()), body)
    try:
        with accepted(impatient(context.settings), webhook.url, context.check, body=body, headers=headers) as reply:
            status = reply.status
    except (OutgoingError, WebhookFailed) as error:
        failure = _failure(error, number, host)
        _note(database, webhook, failure.message, gone=failure.status == GONE)
        context.warning(failure.message)
        # The first error has the whole address in it.
        raise failure from None
    _note(database, webhook, f"accepted with status {status}")
    context.info(f"It was accepted with status {status}.")
    return {"delivered": True, "status": status}


def _failure(error: OutgoingError | WebhookFailed, number: int, host: str) -> DeliveryFailed:
    status = error.status if isinstance(error, WebhookFailed) else None
    if status == GONE:
        message = f"{host} answers 410: it is gone for good, so the webhook was switched off"
    else:
        message = what_happened(error, host)
    retryable = error.retryable and status != GONE
    return DeliveryFailed(message, webhook=number, status=status, retryable=retryable)


def _note(database: Database, webhook: Webhook, result: str, *, gone: bool = False) -> None:
    """Write what came of it, unless the webhook was removed meanwhile."""
    with database.session() as session:
        row = session.get(Webhook, webhook.id)
        if row is not None and mark(row) == mark(webhook):
            row.last_try_at = time.time()
            row.last_result = result[:300]
            if gone:
                row.disabled_at = row.last_try_at
