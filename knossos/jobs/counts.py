"""Counters in Redis: what all processes on all machines have counted, in one hash.

Jobs are counted by the script that moves them (`scripts.MOVE`), inside the very change of state, so that each outcome
is counted once. All else is counted in the processes (`knossos.tally`) and brought here once a second. The counters
live as long as Redis's data; readers such as Prometheus see it when they begin at nothing again.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from knossos import tally
from knossos.jobs import keys

if TYPE_CHECKING:
    import redis

    from knossos.jobs.engine import Engine

#: Seconds between two deliveries of one process.
PAUSE_SECONDS = 1.0


def deliver(connection: redis.Redis) -> None:
    """Bring what this process has counted to Redis. Where Redis is away it is kept for the next time.

    A connection that breaks in the middle may have it counted twice: rather that than not at all.
    """
    counts = tally.take()
    if not counts:
        return
    try:
        with connection.pipeline() as pipeline:
            for field, amount in counts.items():
                pipeline.hincrbyfloat(keys.COUNTS, field, amount)
            pipeline.execute()
    except (RedisError, OSError):
        tally.give_back(counts)


def read(connection: redis.Redis) -> dict[tuple[str, ...], float]:
    """All counters, by the parts of their names: the figure, then its labels."""
    found: Any = connection.hgetall(keys.COUNTS)
    counts = {}
    for name, value in found.items():
        with contextlib.suppress(ValueError):
            counts[tuple(name.decode("utf-8", "replace").split(tally.SEPARATOR))] = float(value)
    return counts


class Delivery:
    """Delivers again and again, in a thread of its own, and once more at the end of the process."""

    def __init__(self, connection: redis.Redis) -> None:
        self._connection = connection
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._work, name="counts", daemon=True)

    def start(self) -> None:
        """Begin. To be called after the last fork."""
        self._thread.start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """Deliver what is left, and end."""
        self._ends.set()
        self._thread.join(2 * PAUSE_SECONDS)

    def _work(self) -> None:
        while not self._ends.wait(PAUSE_SECONDS):
            deliver(self._connection)
        deliver(self._connection)


def delivering(engine: Engine) -> Engine:
    """Deliver from now on what this process counts, through the engine's connection; answers the engine."""
    Delivery(engine.redis).start()
    return engine
