"""Run a worker until it is told to stop."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence

from rq.exceptions import StopRequested

from knossos.errors import EXIT_OK
from knossos.jobs import connection
from knossos.jobs.companion import Companion
from knossos.jobs.engine import Engine
from knossos.jobs.rq_queue import connection_errors
from knossos.jobs.rq_worker import EngineWorker
from knossos.settings import Settings

#: Seconds for which a worker's commands wait for a Redis that restarts.
PATIENCE_SECONDS = 60
#: Seconds between two loops of a worker whose first one broke.
PAUSE_SECONDS = 0.5

log = logging.getLogger("knossos.jobs")


def run(
    settings: Settings,
    queues: tuple[str, ...] = ("default",),
    rehearsals: Sequence[Callable[[], None]] = (),
    beside: Callable[[], None] | None = None,
) -> int:
    """Work until SIGTERM or SIGINT, and answer the exit code.

    Args:
        rehearsals: see `EngineWorker`.
        beside: goes on in a process beside it meanwhile.

    RQ's loop ends on errors that it does not know; it is then started anew, so that no entry of a queue and no
    trouble with Redis ends a worker.

    Raises:
        MissingDependency: Redis does not answer at the start.
    """
    connection.ping(settings.redis)
    for name in ("rq.worker", "rq.job", "rq.registry", "rq.scheduler"):  # RQ sets its own levels at import
        logging.getLogger(name).setLevel(logging.WARNING)
    engine = Engine(settings, patience_seconds=PATIENCE_SECONDS)
    gc.collect()
    gc.freeze()  # what is loaded by now stays for ever: a fork need not copy the pages that a collection would touch
    companion = None if beside is None else Companion(beside)
    worker: EngineWorker | None = None
    try:
        while True:
            try:
                worker = EngineWorker(engine, queues, rehearsals, companion)
                log.info("worker %s waits for tasks on %s", worker.name[:8], ", ".join(queues))
                worker.work(logging_level=None)
            except connection_errors() as error:
                log.warning("Redis does not answer: %s", error)
            except Exception:
                log.exception("the worker's loop broke")
            if worker is not None and worker.stopping:
                break
            log.warning("the worker's loop ended; it starts anew")
            time.sleep(PAUSE_SECONDS)
    except (StopRequested, SystemExit):
        pass  # told to stop between two loops, or while a loop was being set up
    finally:
        if companion is not None:
            companion.stop()
    log.info("stopped")
    return EXIT_OK
