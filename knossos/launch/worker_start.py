"""What a worker loads and tries before its first fork: all that jobs need is then there once, for all of them."""

from __future__ import annotations

from knossos import database
from knossos.jobs import worker
from knossos.settings import Settings

#: Seconds for which a task waits for a database that restarts, as for Redis.
DATABASE_PATIENCE_SECONDS = 60.0


def work(settings: Settings, queues: tuple[str, ...]) -> int:
    """Load the rooms whose jobs it runs, try what they need, and work until it is told to stop.

    Raises:
        SettingsError: scripts cannot be run as the settings want it.
        MissingDependency: Redis, 7-Zip or the sandbox is not there.
    """
    import knossos.packaging.webhook  # noqa: F401
    from knossos.homes import scheduling
    from knossos.packaging.self_test import self_test
    from knossos.publishing import ingest, webhook_delivery  # noqa: F401
    from knossos.publishing.repository import job as repository_job
    from knossos.scripting import startup

    startup.check(settings)
    self_test(settings)
    repository_job.catch_up_apart(settings)
    repository_job.prepare(settings)
    database.be_patient(DATABASE_PATIENCE_SECONDS)
    return worker.run(settings, queues, startup.rehearsals(settings), beside=lambda: scheduling.tick(settings))
