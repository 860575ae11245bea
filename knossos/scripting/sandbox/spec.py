"""What is to be run, and where a script finds itself: known before it starts, since its environment says so.

In the sandbox the run's directory, SHARED_DIR and /tmp have names of their own, which tell nothing of the host; with
SCRIPT_SANDBOX 'none' they are what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from knossos.scripting.sandbox.limits import ResolvedLimits
from knossos.settings import Settings

#: Where all of a run is, as the script sees it.
INSIDE = "/script"
INSIDE_FOLDER = f"{INSIDE}/run"
INSIDE_SHARED = f"{INSIDE}/shared"
INSIDE_TEMPORARY = "/tmp"  # noqa: S108 - a folder of the run's own

#: Number of the descriptor that KNOSSOS_FD names: of one digit, since that is all that some shells can write to.
CHANNEL = 3
#: Where a script in a private network finds our HTTP server.
DOOR_HOST = "127.0.0.1"
DOOR_PORT = 4080


@dataclass(frozen=True)
class SandboxSpec:
    """One program, and what it gets. All paths are the host's."""

    #: As the operator named it: it may be a symlink that leads anywhere.
    program: Path
    arguments: tuple[str, ...]
    #: The run's directory, which is also the working directory and HOME; to read and write, as the two that follow.
    folder: Path
    #: SHARED_DIR; its last part is the random name.
    shared: Path
    #: What becomes /tmp.
    temporary: Path
    #: More files and folders to read.
    readable: tuple[Path, ...]
    #: All of the environment. KNOSSOS_FD is added.
    environment: Mapping[str, str]
    limits: ResolvedLimits
    #: Whether it has the machine's network.
    network: bool
    #: Host and port of our HTTP server, for scripts that call back; None: they cannot.
    door: tuple[str, int] | None
    #: File for standard input; None: there is none to read.
    stdin: Path | None = None
    #: True: ``folder`` belongs to whom scripts run as already, as a home does, and may be in use by others.
    folder_is_theirs: bool = False


@dataclass(frozen=True)
class Inside:
    """Paths as the script sees them."""

    folder: str
    shared: str
    temporary: str


def inside(settings: Settings, folder: Path, shared: Path, temporary: Path) -> Inside:
    """Where a script will find its three folders."""
    if settings.script_sandbox == "none":
        return Inside(str(folder), str(shared), str(temporary))
    return Inside(INSIDE_FOLDER, f"{INSIDE_SHARED}/{shared.name}", INSIDE_TEMPORARY)


def server_url(settings: Settings, network: bool, door: tuple[str, int] | None) -> str:
    """Where a script will find our HTTP server; "": it will not."""
    if door is None:
        return ""
    host, port = door
    if not network and settings.script_sandbox != "none":
        host, port = DOOR_HOST, DOOR_PORT
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
