"""Looking again and again whether a schedule is due. Costs one small query for each look."""

from __future__ import annotations

import logging
import time

from knossos.scripting.schedules.firing import Firings
from knossos.scripting.schedules.sweeping import Sweeper

#: Seconds between two looks: a schedule that was just made is seen after that.
LOOK_SECONDS = 5.0
#: Seconds between two looks after what was left behind.
SWEEP_SECONDS = 30.0
#: Seconds by which a clock was set back from which on what was noted meanwhile is looked through.
SET_BACK_SECONDS = 60.0
#: Seconds between two looks where something does not answer.
PATIENCE_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Ticker:
    def __init__(self, firings: Firings, sweeper: Sweeper) -> None:
        self._firings = firings
        self._sweeper = sweeper
        self._swept: float | None = None
        #: By how much the one clock was ahead of the other at the last look.
        self._ahead: float | None = None
        self._trouble = ""

    def run(self) -> None:
        """Go on without end."""
        while True:
            time.sleep(self.turn(time.time(), time.monotonic()))

    def turn(self, now: float, clock: float) -> float:
        """Look once; answers for how many seconds there is nothing to do.

        Args:
            now: Unix time in seconds; ``clock``: seconds of a clock that nobody sets.
        """
        try:
            if self._ahead is None or now - clock < self._ahead - SET_BACK_SECONDS:
                self._sweeper.put_right(now)
            self._ahead = now - clock
            if self._swept is None or clock - self._swept >= SWEEP_SECONDS:
                self._swept = clock
                self._sweeper.sweep(now)
            self._firings.fire_due(now)
            due = self._firings.next_due()
        except Exception as error:
            # Once for each kind of trouble: it may last.
            if type(error).__name__ != self._trouble:
                _log.warning("schedules cannot be looked after: %s", " ".join(str(error).split())[:300])
            self._trouble = type(error).__name__
            return PATIENCE_SECONDS
        self._trouble = ""
        return LOOK_SECONDS if due is None else min(LOOK_SECONDS, max(0.05, due - now))
