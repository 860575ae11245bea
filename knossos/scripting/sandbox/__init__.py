"""The sandbox of scripts: the only room that calls bubblewrap.

Owns what a script sees (`view.py`), what it may use up (`limits.py`, `usage.py`, `seccomp.py`), how it is started
(`bubblewrap.py`, `plain.py`, `spawn.py`), and the one door from its private network to our HTTP server (`door.py`).
Knows nothing of jobs, tokens or results: it is told what to run, and answers with a running thing.

What always holds: a program starts when all its limits are set, or not at all; when `Sandboxed.poll` answers with a
code, none of its processes is left; when our process dies, however it dies, the program does.
"""

from knossos.scripting.sandbox.errors import SandboxFailed, SandboxMissing
from knossos.scripting.sandbox.limits import ResolvedLimits
from knossos.scripting.sandbox.running import Sandboxed
from knossos.scripting.sandbox.spec import CHANNEL, Inside, SandboxSpec, inside, server_url
from knossos.scripting.sandbox.starting import check, rehearse, start

__all__ = [
    "CHANNEL",
    "Inside",
    "ResolvedLimits",
    "SandboxFailed",
    "SandboxMissing",
    "SandboxSpec",
    "Sandboxed",
    "check",
    "inside",
    "rehearse",
    "server_url",
    "start",
]
