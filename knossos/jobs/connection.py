"""Connections to Redis that come back by themselves after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from knossos import tally
from knossos.errors import MissingDependency

#: First and longest pause between two tries to reach Redis, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Patience in seconds from which on silence, too, is met with another try.
LONG_PATIENCE = 30
#: Seconds to wait for a connection, and for an answer.
CONNECT_SECONDS, ANSWER_SECONDS = 5, 15


class CountingRetry(Retry):
    """Tries again as redis-py does, and counts for the operator how often Redis was not there."""

    def call_with_retry(self, do: Callable[[], Any], fail: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def counted() -> Any:
            try:
                return do()
            except (RedisConnectionError, RedisTimeoutError, OSError):
                tally.add_here("redis_errors")
                raise

        return super().call_with_retry(counted, fail, *args, **kwargs)


def retry_policy(patience_seconds: float) -> Retry:
    """Try again with growing pauses for about ``patience_seconds``.

    A Redis that is reached and says nothing is asked again only by those who can wait long.
    """
    errors: tuple[type[Exception], ...] = (RedisConnectionError, ConnectionError)
    if patience_seconds >= LONG_PATIENCE:
        errors = (*errors, RedisTimeoutError)
    growing = 5  # tries until the pause has grown to its longest
    tries = growing + round(patience_seconds / LONGEST_PAUSE) if patience_seconds > 0 else 0
    return CountingRetry(ExponentialBackoff(cap=LONGEST_PAUSE, base=FIRST_PAUSE), tries, supported_errors=errors)


def connect(url: str, patience_seconds: float, answer_seconds: float = ANSWER_SECONDS) -> redis.Redis:
    """Make a client. Nothing is sent before its first command.

    A command that finds Redis away is tried again for ``patience_seconds``: a worker can wait a minute for a
    restart, a web request only a few seconds. Whose answer was lost has been done already: the engine's scripts are
    safe to send twice, and a transaction that is not watches a key, so that it is not sent again as it stands. A Redis
    that says nothing for ``answer_seconds`` counts as away.
    """
    client: redis.Redis = redis.Redis.from_url(
        url,
        retry=retry_policy(patience_seconds),
        socket_connect_timeout=min(CONNECT_SECONDS, answer_seconds),
        socket_timeout=answer_seconds,
        # Each job has a connection of its own. That redis-py says there which version it is (it reads that from disk
        # each time), and asks for word of a cluster's moves, would take four times as long as the connection itself.
        driver_info=None,
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
        **({} if url.startswith("unix") else {"socket_keepalive": True}),
    )
    return client


def ping(url: str) -> None:
    """Ask Redis once whether it is there.

    Raises:
        MissingDependency: it does not answer, refuses the password, or is too old.
    """
    client = connect(url, 0, CONNECT_SECONDS)
    try:
        version = str(client.info("server").get("redis_version", "0"))
    except redis.RedisError as error:
        raise MissingDependency(f"Redis at {shown(url)} does not answer: {error}", needed="redis") from error
    finally:
        client.close()
    if tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
        raise MissingDependency(f"Redis at {shown(url)} is {version}; 6.2 or newer is needed", needed="redis")


def shown(url: str) -> str:
    """The URL without its password, for messages."""
    parts = urlsplit(url)
    if parts.password:
        return url.replace(f":{parts.password}@", ":***@", 1)
    return url
