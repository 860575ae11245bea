"""A worker for tests of scripts: the real one with the job of runs, without the rest of the product."""

from __future__ import annotations

import sys

from knossos.jobs import worker
from knossos.logs import configure_logging
from knossos.scripting import mail, startup  # noqa: F401 - loaded before any fork, as worker.py does
from knossos.settings_file import load_settings

if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings, process="worker")
    sys.exit(worker.run(settings, tuple(sys.argv[1:]) or ("default",), startup.rehearsals(settings)))
