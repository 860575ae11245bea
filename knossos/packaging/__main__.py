"""Package a mod on this machine: ``python -m knossos.packaging``. See ``package_command`` for what it does."""

from __future__ import annotations

import sys

from knossos.packaging.interruption import end_at_once_when_interrupted, ignore_interruptions

if __name__ == "__main__":
    end_at_once_when_interrupted("interrupted; nothing was written")
    from knossos.packaging.package_command import main

    code = main()
    ignore_interruptions()
    sys.exit(code)
