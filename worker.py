#!/usr/bin/env python3
"""A worker: runs tasks until it is told to stop. Start as many as there is work for, on as many machines.

Usage: worker.py [QUEUE ...]      (default: the queue "default")
"""

from __future__ import annotations

import sys

from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING, MissingDependency, SettingsError
from knossos.jobs import worker
from knossos.logs import configure_logging
from knossos.settings import load_settings


def main(queues: list[str]) -> int:
    """Load the settings and all that jobs need (once, before any fork), try it, then work."""
    try:
        settings = load_settings()
        configure_logging(settings, process="worker")
        import knossos.packaging.webhook  # noqa: F401
        from knossos.packaging.self_test import self_test
        from knossos.publishing import ingest, webhook_delivery  # noqa: F401
        from knossos.publishing.repository.job import catch_up_apart
        from knossos.scripting import startup

        startup.check(settings)
        self_test(settings)
        catch_up_apart(settings)
        return worker.run(settings, tuple(queues) or ("default",), startup.rehearsals(settings))
    except (SettingsError, MissingDependency) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS if isinstance(error, SettingsError) else EXIT_MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
