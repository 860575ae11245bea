"""Telling an address of somebody else that something has happened: the check, the request, the pauses between tries.

Owns one try: a POST through the guard, which is accepted once a 2xx status is here, whatever comes or does not come
within `ANSWER_SECONDS` after that. Does not know what is told, and does not try again: that is the caller's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from knossos.errors import InvalidInput, KnossosError
from knossos.outgoing.errors import AddressRefused, AnswerTooSlow, OutgoingError
from knossos.outgoing.guard import Guard, without_password
from knossos.outgoing.http import OutgoingHttp, Reply
from knossos.settings import Settings

#: Seconds before the second, third, ... try; the last one holds for all further tries.
PAUSES = (10, 60, 300, 900)
#: Longest URL in characters.
MAX_URL_CHARS = 2000
#: Seconds after which an accepted webhook is not listened to any longer.
ANSWER_SECONDS = 20.0
#: Seconds that a receiver has to take the connection, and to answer, where it must not hold a worker for long.
PATIENCE_SECONDS = 10.0


class WebhookFailed(KnossosError):
    """The webhook ``url`` answered with ``status``, which is not a success."""

    code = "webhook_failed"
    retryable = True


def impatient(settings: Settings) -> Settings:
    """Settings for requests that wait for nobody longer than `PATIENCE_SECONDS`."""
    names = ("connect_timeout_seconds", "read_timeout_seconds")
    return settings.model_copy(update={name: min(getattr(settings, name), PATIENCE_SECONDS) for name in names})


def what_happened(error: OutgoingError | WebhookFailed, host: str) -> str:
    """Why a try failed, by the name of the host alone: the rest of such an address often is a secret."""
    if isinstance(error, WebhookFailed):
        return f"{host} answers {error.status}"
    return f"{host} could not be told: {error.code.replace('_', ' ')}"


def pauses(tries: int) -> tuple[int, ...]:
    """Seconds before each of the further tries where there are ``tries`` altogether."""
    further = tries - 1
    return (PAUSES + PAUSES[-1:] * further)[:further]


def check_webhook_url(url: str, settings: Settings, *, path: str = "webhook") -> None:
    """Refuse a webhook when it comes in, as far as that is possible without asking a name server.

    Raises:
        InvalidInput: it is no http or https URL, is too long, or names an address that is not public and not
            allowed. Its `errors` have the path ``path``.
    """
    try:
        if len(url) > MAX_URL_CHARS:
            raise InvalidInput(f"{path}: expected a URL of at most {MAX_URL_CHARS} characters")
        Guard(settings.allowed_private_networks).check_url(url)
    except (AddressRefused, InvalidInput) as error:
        message = str(error)
        raise InvalidInput(message, errors=[{"path": path, "message": message}]) from error


@contextmanager
def accepted(
    settings: Settings,
    url: str,
    check: Callable[[], None],
    *,
    form: Mapping[str, str] | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Reply]:
    """POST ``form`` or ``body`` and give the answer that accepts it; what is read of it has `ANSWER_SECONDS`.

    Args:
        check: called about twice a second while waiting; what it raises comes out.
    Raises:
        AddressRefused: the URL, or one it redirects to, may not be reached; no further try will help.
        WebhookFailed: the status is no success.
        OutgoingError: another way in which this try failed.
    """
    deadline = math.inf

    def check_all() -> None:
        check()
        if time.monotonic() > deadline:
            raise AnswerTooSlow(f"{without_password(url)}: the answer takes too long", url=without_password(url))

    http = OutgoingHttp(settings)
    try:
        with http.open(url, form=form, body=body, headers=headers, check=check_all) as reply:
            if not 200 <= reply.status < 300:
                raise WebhookFailed(f"{url} answers {reply.status}", url=url, status=reply.status)
            deadline = time.monotonic() + ANSWER_SECONDS
            yield reply
    finally:
        http.close()
