#!/usr/bin/env python3
"""The daily clean-up: run it once a day, at any time, while everything works. It prints what it removed."""

from __future__ import annotations

import argparse
import sys

from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING, EXIT_OK, MissingDependency, SettingsError
from knossos.jobs import connection
from knossos.launch.clean_up import clean_up
from knossos.logs import configure_logging
from knossos.settings_file import load_settings


def main(arguments: list[str]) -> int:
    """Remove what is stale."""
    argparse.ArgumentParser(prog="cron.py", description=__doc__).parse_args(arguments)
    try:
        settings = load_settings()
        configure_logging(settings, process="cron")
        connection.ping(settings.redis)
        counts = clean_up(settings)
    except (SettingsError, MissingDependency) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_BAD_SETTINGS if isinstance(error, SettingsError) else EXIT_MISSING
    removed = [f"removed {count} {what}\n" for what, count in counts if count]
    sys.stdout.writelines(removed or ["nothing has expired\n"])
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
