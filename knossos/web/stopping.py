"""Whether this process of the HTTP server is being stopped, for requests that wait: they answer then, and do not hold
it up.

What always holds: requests that work are left to finish, within bounds; those that wait see a stop within a second; and
where there is no uWSGI (tests, `flask run`), nothing is done with signals.

How it learns of it: uWSGI's master sends SIGHUP to each of its processes and waits for them without end. The signal is
kept from uWSGI's own threads here, one thread waits for it, tells, and then hands it on to uWSGI, which takes no more
requests from then on.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
import time
from typing import Self

#: Seconds for requests that work when the server is stopped. Fewer than systemd waits (TimeoutStopSec of
#: conf/systemd/knossos-server.service).
GRACE_SECONDS = 50.0

_log = logging.getLogger(__name__)


class Stopping:
    """Safe for threads."""

    def __init__(self) -> None:
        self._said = threading.Event()

    def is_set(self) -> bool:
        return self._said.is_set()

    def set(self) -> None:
        self._said.set()

    @classmethod
    def told_by_uwsgi(cls) -> Self:
        """One that learns of it from uWSGI, where that runs this process. To be called once, in its main thread, while
        it loads the application."""
        made = cls()
        try:
            importlib.import_module("uwsgi")
        except ImportError:
            return made
        # All threads that are started from here on inherit that.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        threading.Thread(target=made._wait_and_hand_on, name="stopping", daemon=True).start()
        return made

    def _wait_and_hand_on(self) -> None:
        signal.sigwait({signal.SIGHUP})
        self.set()
        # uWSGI's own handler: no more requests. While it still loads, the process ends here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        signal.raise_signal(signal.SIGHUP)
        time.sleep(GRACE_SECONDS)
        _log.error("requests that do not end within %.0f seconds are broken off", GRACE_SECONDS)
        os._exit(1)
