"""A world of its own for a run: processes, mounts and network in namespaces that end with their first process.

What always holds: nothing of a run can outlive it, not even where everything is killed at once; all that it writes lies
in memory, below `WORLD` and ``/tmp``, in mounts that nobody else sees.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from chaos.needs import PLACES
from knossos.settings import ROOT

#: The folder of a run, as it is seen inside.
WORLD = Path("/run/chaos")
#: Where the world's ``/tmp`` is kept while its own one lies over it.
_OTHER_TMP = Path("/run/other-tmp")


def command(module: str, argument: str) -> list[str]:
    """The command that runs a module of ours as the first process of a new world, which ends with the command."""
    unshare = str(shutil.which("unshare", path=PLACES))
    options = ["--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
    return [unshare, *options, sys.executable, "-m", module, argument]


def furnish(*kept: Path) -> None:
    """Make the file systems that the run writes to, and bring its network up. Folders that are ``kept`` stay the
    machine's own."""
    mount_memory(Path("/run"))
    WORLD.mkdir()
    mount_memory(Path("/dev/shm"))
    _hide_tmp(kept)
    run("ip", "link", "set", "lo", "up")


def mount_memory(folder: Path, size_bytes: int | None = None) -> None:
    """Mount an empty file system in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    size = [] if size_bytes is None else ["-o", f"size={size_bytes}"]
    mode = "1777" if folder in (Path("/tmp"), Path("/dev/shm")) else "0755"
    run("mount", "-t", "tmpfs", "-o", f"mode={mode}", *size, "tmpfs", str(folder))


def _hide_tmp(kept: Sequence[Path]) -> None:
    """An empty /tmp, in which the code and its Python still are where they lay, if they lay there."""
    tmp = Path("/tmp")
    needed = (ROOT, Path(sys.prefix), Path(sys.base_prefix), *kept)
    places = sorted({one for one in needed if one.is_relative_to(tmp)})
    _OTHER_TMP.mkdir()
    run("mount", "--rbind", str(tmp), str(_OTHER_TMP))
    mount_memory(tmp)
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        run("mount", "--rbind", str(_OTHER_TMP / place.relative_to(tmp)), str(place))
    run("umount", "--recursive", "--lazy", str(_OTHER_TMP))
    os.chdir(ROOT)


def run(*arguments: str) -> None:
    """Run a program of the system to its end. Raises subprocess.CalledProcessError with what it said."""
    program = str(shutil.which(arguments[0], path=PLACES))
    done = subprocess.run([program, *arguments[1:]], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()}")
