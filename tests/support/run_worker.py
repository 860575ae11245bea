"""A worker for tests of the engine: the real one, without the jobs of the product."""

from __future__ import annotations

import sys

import tests.support.jobs  # noqa: F401 - loaded before any fork, as worker.py does with the real jobs
from knossos.jobs import worker
from knossos.logs import configure_logging
from knossos.settings_file import load_settings

if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings, process="worker")
    sys.exit(worker.run(settings, tuple(sys.argv[1:]) or ("default",)))
