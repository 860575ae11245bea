"""A machine of one's own for a test, as far as a namespace can be one: its ports, its processes, a fresh clone.

So commands of the docs run as they stand, with the addresses that stand there, beside whatever else this machine does;
and nothing of them outlives the test.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from knossos.settings import ROOT

#: Network, processes and mounts of its own; all processes end with the first one.
UNSHARE = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--"]


def fresh_clone(folder: Path) -> Path:
    """The project's files as git knows them, with this project's virtual environment."""
    clone = folder / "knossos"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    (clone / "py-env").symlink_to(ROOT / "py-env")
    return clone


def run_there(module: str, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests in a machine of its own; its output has both streams."""
    return subprocess.run(
        [*UNSHARE, sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
