"""``worker.py --check``: is the worker of this machine well? For systemd, containers and whoever logs in.

Workers listen on no port; each says in Redis every few seconds that it lives, and that is what is looked at here.
"""

from __future__ import annotations

import json
import socket
from typing import TextIO

from knossos.errors import EXIT_MISSING, EXIT_OK
from knossos.jobs import Engine, overview, workspace
from knossos.operating.readiness import Asker, NotReady, Parts
from knossos.packaging.archives.sevenzip import SevenZip
from knossos.settings import Settings


def check(settings: Settings, output: TextIO) -> int:
    """Write what a worker needs, and whether one of this machine lives, as /ready does; answer the exit code."""
    parts = Parts(settings).of_server() | {
        "room": lambda: _room(settings),
        "7-Zip": lambda: _sevenzip(settings),
        "worker": lambda: _worker(settings, socket.gethostname()),
    }
    found = Asker(parts).ask()
    output.write(json.dumps(found.as_dict()) + "\n")
    return EXIT_OK if found.ready else EXIT_MISSING


def _room(settings: Settings) -> None:
    if not workspace.has_room(settings.work_folder, settings.work_free_bytes):
        raise NotReady(f"less than {settings.work_free_bytes} bytes are free in {settings.work_folder}")


def _sevenzip(settings: Settings) -> None:
    SevenZip.locate(settings)


def _worker(settings: Settings, host: str) -> None:
    if not [worker for worker in overview.living(Engine(settings, patience_seconds=0)) if worker.host == host]:
        raise NotReady(f"no worker of {host} has shown a sign of life for {settings.worker_lost_seconds:g} seconds")
