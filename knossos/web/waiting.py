"""Requests that wait for a job: how many there may be, and when one gives up.

Each holds one of the server's threads. What always holds: some threads stay free for everybody else, and for scripts
that call back; and no caller has all the seats. Who waits asks nobody meanwhile (`Engine.wait`), and who has gone away
is not waited for, nor does anybody wait in a process that is being stopped; the job goes on.
"""

from __future__ import annotations

import select
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from knossos.errors import KnossosError
from knossos.jobs import Engine, JobRecord
from knossos.web import uwsgi_facts
from knossos.web.stopping import Stopping
from knossos.web.uwsgi_facts import ConnectionOf

#: Requests that may wait in one process of the server, and of one caller; it has more threads (conf/app.ini).
SEATS, SEATS_OF_ONE = 20, 8
#: Seconds between two looks whether the client is still there and the process is not being stopped.
LOOK_SECONDS = 1.0


class TooManyWait(KnossosError):
    """No more requests may wait for now."""

    code = "too_many_wait"


class Seats:
    """Safe for threads."""

    def __init__(self, seats: int = SEATS, of_one: int = SEATS_OF_ONE) -> None:
        self._seats = seats
        self._of_one = of_one
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, owner: str) -> Iterator[None]:
        """Have one of the seats for as long as the block lasts.

        Raises:
            TooManyWait: all are taken, or this owner has as many as one may have.
        """
        with self._lock:
            if self._taken.total() >= self._seats or self._taken[owner] >= self._of_one:
                raise TooManyWait(
                    "Too many calls are waited for already. Try again in a moment, or do not wait: send the header "
                    '"Prefer: respond-async".'
                )
            self._taken[owner] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[owner] -= 1
                if not self._taken[owner]:
                    del self._taken[owner]


def wait_for(
    engine: Engine,
    ticket: int,
    seconds: float,
    *,
    stopping: Stopping,
    client_is_there: Callable[[], bool] | None = None,
) -> JobRecord:
    """The job's record once it has ended, or as it stands when there is nothing more to wait for: the time is over, the
    client has gone, or the process is being stopped.

    Raises:
        JobNotFound: there is no such job (any more).
    """
    deadline = time.monotonic() + seconds
    is_there = client_is_there or client_of_request_is_there
    while True:
        left = deadline - time.monotonic()
        record = engine.wait(ticket, 0.0 if stopping.is_set() else min(LOOK_SECONDS, max(0.0, left)))
        if record.state.finished or left <= LOOK_SECONDS or stopping.is_set() or not is_there():
            return record


def client_of_request_is_there(connection_of: ConnectionOf = uwsgi_facts.connection) -> bool:
    """Whether the client of the current request has not closed its connection; True where that is not known."""
    descriptor = connection_of()
    if descriptor is None or descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return not poll.poll(0)
