#!/usr/bin/env python3
"""A worker: runs tasks until it is told to stop. Start as many as there is work for, on as many machines.

Usage: worker.py [QUEUE ...]      (default: the queue "default")
       worker.py --check          (say whether a worker of this machine lives, and has what it needs)
"""

from __future__ import annotations

import sys

from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING, MissingDependency, SettingsError
from knossos.logs import configure_logging
from knossos.settings_file import load_settings


def main(arguments: list[str]) -> int:
    """Load the settings, then work (with all that jobs need loaded once, before any fork), or check."""
    try:
        settings = load_settings()
        configure_logging(settings, process="worker")
        if arguments == ["--check"]:
            from knossos.operating.worker_check import check

            return check(settings, sys.stdout)
        from knossos.launch.worker_start import work

        return work(settings, tuple(arguments) or ("default",))
    except (SettingsError, MissingDependency) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS if isinstance(error, SettingsError) else EXIT_MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
