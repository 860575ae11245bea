"""The job that brings the repository's files up to a change.

A release asks for it inside its transaction, so it may run before that transaction has committed, or though it never
will: it looks a moment, goes back to the queue, and gives up quietly after `COMMIT_SECONDS`. It holds no worker
meanwhile. Any number of these jobs may run at once; those that find the files written already end at once.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from knossos.database import Database, of_this_process
from knossos.jobs import Engine, JobSpec
from knossos.publishing.changes import last_change
from knossos.publishing.repository.entries import changed_since
from knossos.publishing.repository.errors import ChangeNotThere
from knossos.publishing.repository.repository import Repository
from knossos.settings import Settings
from knossos.storage import Storage, StorageUnavailable

if TYPE_CHECKING:
    from knossos.jobs import JobContext, JobRecord

log = logging.getLogger(__name__)

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
    return engine.submit(_spec("write", "Update of the repository", change=change, announced_at=time.time()))


def submit_rebuild(engine: Engine) -> JobRecord:
    """Have all files made and signed anew from the database."""
    return engine.submit(_spec("rebuild", "The whole repository anew"))


def submit_signing(engine: Engine) -> JobRecord:
    """Have the files signed with the time of now. A worker does it: it has the key."""
    return engine.submit(_spec("sign", "Signatures of the repository"))


def catch_up(settings: Settings) -> None:
    """Have the files written where they are missing or behind. For the start of a worker, and for cron."""
    engine, database = Engine(settings), Database(settings)
    try:
        change = Repository(settings, database, Storage(settings)).missing_change()
        if change is not None:
            log.info("the repository's files are to be brought up to change %d", change)
            submit_update(engine, change)
    except (DBAPIError, StorageUnavailable) as error:  # no tables yet at the very first start: then there is no release
        log.warning("whether the repository's files are up to date is not known: %s", error)
    finally:
        database.close()
        engine.redis.close()


def catch_up_apart(settings: Settings) -> None:
    """The same in a process of its own, for one that forks: who has talked to an object store has threads, and its
    forks would wait for them for ever."""
    looking = multiprocessing.get_context("fork").Process(target=catch_up, args=(settings,))
    looking.start()
    looking.join()


def prepare(settings: Settings) -> None:
    """Do before any fork what would take its time in each update: what the database's library prepares for a statement,
    and for its first one (that is 20 ms, of any kind of job), is then there in every process that a worker forks.
    Nothing is written, and no connection kept."""
    database = of_this_process(settings)
    try:
        with database.reading() as session:
            next(changed_since(session, last_change(session)), None)
    except DBAPIError as error:
        log.info("an update of the repository cannot be prepared: %s", error)
    finally:
        database.close()


def _spec(function: str, title: str, **payload: Any) -> JobSpec:
    return JobSpec(
        function=f"knossos.publishing.repository.job.{function}",
        kind="repository",
        title=title,
        owner=OWNER,
        payload=payload,
        timeout_seconds=TIMEOUT_SECONDS,
        retries=len(PAUSES),
        retry_delays_seconds=PAUSES,
    )


def write(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: wait for the change, then write the files, unless they hold it already.

    Raises:
        ChangeNotThere, RepositoryBusy: to be tried again.
    """
    change = int(payload["change"])
    database = of_this_process(context.settings)
    try:
        if not _wait_for(context, database, change, float(payload["announced_at"])):
            context.info(f"Change {change} never came: its transaction was undone.")
            return {"change": change, "written": False}
        written = _repository(context, database).bring_up(change, check=context.check)
        context.info(f"The repository's files hold change {written}.")
        return {"change": written, "written": True}
    finally:
        database.close()


def rebuild(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: make all files anew."""
    database = of_this_process(context.settings)
    try:
        written = _repository(context, database).rebuild(check=context.check)
        context.info(f"The repository's files were made anew and hold change {written}.")
        return {"change": written, "written": True}
    finally:
        database.close()


def sign(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """The job: sign what is published once more."""
    database = of_this_process(context.settings)
    try:
        signed = _repository(context, database).sign_again(check=context.check)
        context.info("The repository's files are signed anew." if signed else "There are no files to sign yet.")
        return {"signed": signed}
    finally:
        database.close()


def _repository(context: JobContext, database: Database) -> Repository:
    return Repository(context.settings, database, Storage(context.settings))


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
