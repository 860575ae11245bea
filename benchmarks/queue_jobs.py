"""The jobs of ``queues.py``: they say to whoever waits that they were done. Little is imported, for those that fork."""

from __future__ import annotations

import os
import time
from typing import Any

import redis

#: Lists into which jobs put a word: a quick one that is done, a slow one that has begun, and one that is done. Each has
#: its own: a quick job whose worker is killed right after its word is done once more by the next one.
DONE, BEGUN, SLOW_DONE = "bench:done", "bench:begun", "bench:slow-done"
#: Seconds that a slow job takes.
SLOW_SECONDS = 2.0
#: Seconds of silence after which Dramatiq takes a worker for lost, as it is set here; by itself they are 60.
DRAMATIQ_HEARTBEAT_SECONDS = 10


def tell(key: str = DONE) -> None:
    """Say so, over a connection of one's own."""
    with redis.Redis.from_url(os.environ["BENCH_REDIS"]) as client:
        client.rpush(key, "1")


def slow() -> None:
    """Say that one has begun; after a while, that one is done."""
    tell(BEGUN)
    time.sleep(SLOW_SECONDS)
    tell(SLOW_DONE)


def our_tell(context: Any, payload: dict[str, Any]) -> None:
    """The same as a job of the engine."""
    tell()


def our_slow(context: Any, payload: dict[str, Any]) -> None:
    """The same as a job of the engine."""
    slow()
