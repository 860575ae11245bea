#!/usr/bin/env python3
"""A worker: runs tasks until it is told to stop. Start as many as there is work for, on as many machines."""

from __future__ import annotations

import argparse
import sys

from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING, MissingDependency, SettingsError
from knossos.logs import configure_logging
from knossos.settings_file import load_settings


def main(arguments: list[str]) -> int:
    """Load the settings, then work (with all that jobs need loaded once, before any fork), or check."""
    parser = argparse.ArgumentParser(prog="worker.py", description=__doc__)
    parser.add_argument("queues", metavar="QUEUE", nargs="*", help="queues to serve; by itself the queue default")
    check_help = "do not work: say whether a worker of this machine lives, and has what it needs"
    parser.add_argument("--check", action="store_true", help=check_help)
    chosen = parser.parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging(settings, process="worker")
        if chosen.check:
            from knossos.operating.worker_check import check

            return check(settings, sys.stdout)
        from knossos.launch.worker_start import work

        return work(settings, tuple(chosen.queues) or ("default",))
    except (SettingsError, MissingDependency) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS if isinstance(error, SettingsError) else EXIT_MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
