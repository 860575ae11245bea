"""The command line of the client: ``python -m knossos.client``. See ``client_command`` for what it does."""

from __future__ import annotations

import sys

from knossos.packaging.interruption import end_at_once_when_interrupted, ignore_interruptions

if __name__ == "__main__":
    end_at_once_when_interrupted("interrupted; no task was started")
    from knossos.client.client_command import main

    code = main()
    ignore_interruptions()
    sys.exit(code)
