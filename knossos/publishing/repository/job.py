"""The job that brings the repository's files up to a change.

A release asks for it inside its transaction, so it may run before that transaction has committed, or though it never
will: it looks a moment, goes back to the queue, and gives up quietly after `COMMIT_SECONDS`. It holds no worker
meanwhile. Any number of these jobs may run at once; those that find the files written already end at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from knossos.database import Database
from knossos.jobs import JobSpec
from knossos.publishing.changes import last_change
from knossos.publishing.repository.errors import ChangeNotThere

if TYPE_CHECKING:
    from knossos.jobs import Engine, JobContext, JobRecord

#: Who owns these jobs: no account can have such a name.
OWNER = "repository:"
#: Seconds that one attempt looks for its change, with pauses that grow.
LOOK_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.25
#: Seconds after the announcement after which a change that is not there never comes.
COMMIT_SECONDS = 30.0
#: Seconds before the second, third, ... try, also of one that failed.
PAUSES = (1, 3, 10, 20, 60, 300)
#: Seconds that a build may take: the first one of a large repository, with its way to an object store.
TIMEOUT_SECONDS = 3600.0


def submit_update(engine: Engine, change: int) -> JobRecord:
    """Have the files brought up to ``change``, which need not be committed yet."""
    return engine.submit(
        JobSpec(
            function="knossos.publishing.repository.job.write",
            kind="repository",
            title="Update of the repository",
            owner=OWNER,
            payload={"change": change, "announced_at": time.time()},
            timeout_seconds=TIMEOUT_SECONDS,
            retries=len(PAUSES),
            retry_delays_seconds=PAUSES,
        )
    )


def write(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: wait for the change, then write the files, unless they hold it already.

    Raises:
        ChangeNotThere, RepositoryBusy: to be tried again.
    """
    from knossos.publishing.publisher import Publisher  # which imports this module

    change = int(payload["change"])
    database = Database(context.settings)
    try:
        if not _wait_for(context, database, change, float(payload["announced_at"])):
            context.info(f"Change {change} never came: its transaction was undone.")
            return {"change": change, "written": False}
        publisher = Publisher(context.settings, database, context.engine)
        written = publisher.repository.bring_up(change, check=context.check)
        context.info(f"The repository's files hold change {written}.")
        return {"change": written, "written": True}
    finally:
        database.close()


def _wait_for(context: JobContext, database: Database, change: int, announced_at: float) -> bool:
    """Whether the change is there; False when it will not come any more."""
    until, pause = time.monotonic() + LOOK_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        with database.reading() as session:
            if last_change(session) >= change:
                return True
        if time.time() - announced_at > COMMIT_SECONDS:
            return False
        if time.monotonic() > until:
            raise ChangeNotThere(f"Change {change} is not committed yet.", change=change)
        context.check()
        time.sleep(pause)
        pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
