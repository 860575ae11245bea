"""Stand-ins for the commands of batch systems: on the PATH, they print what they are told, which is what the real ones
print; and a Slurm that runs what it gets, one job at a time, beside the test and not below whoever submits."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: Prints and ends as the files beside it say, and notes how it was called.
STAND_IN = """#!/bin/sh
here=$(dirname "$0")
name=$(basename "$0")
echo "$name $*" >> "$here/calls.log"
if [ -f "$here/$name.$1.out" ]; then name=$name.$1; fi
cat "$here/$name.out"
cat "$here/$name.err" >&2
exit "$(cat "$here/$name.code")"
"""
#: As sbatch does: leaves the script that is its last argument, and the directory where it was called, to another one.
SBATCH = """#!/bin/sh
here=$(dirname "$0")
echo "sbatch $*" >> "$here/calls.log"
for last; do :; done
echo RUNNING > "$here/state"
printf '%s\\n%s\\n%s\\n' "$last" "$PWD" "$CALCULATION_PROGRAM" > "$here/.spool" && mv "$here/.spool" "$here/spool"
echo 4711
"""
#: What would run it on another machine.
SLURMD = """#!/bin/sh
cd "$(dirname "$0")"
while :; do
    if [ -f spool ]; then
        { read -r script; read -r SLURM_SUBMIT_DIR; read -r CALCULATION_PROGRAM; } < spool
        rm spool
        export SLURM_SUBMIT_DIR CALCULATION_PROGRAM
        if sh "$script" > /dev/null 2>&1; then echo COMPLETED > state; else echo FAILED > state; fi
    fi
    sleep 0.05
done
"""
SQUEUE = """#!/bin/sh
state=$(cat "$(dirname "$0")/state" 2> /dev/null)
case $* in
    *--name=*) if [ "$state" = RUNNING ]; then echo 4711; fi ;;
    *) if [ "$state" = RUNNING ]; then echo RUNNING; fi ;;
esac
"""
SACCT = """#!/bin/sh
echo 'Slurm accounting storage is disabled' >&2
exit 1
"""
SCONTROL = """#!/bin/sh
echo "JobId=4711 JobName=calculation UserId=lab(1000) JobState=$(cat "$(dirname "$0")/state") Reason=None"
"""
SCANCEL = """#!/bin/sh
echo "scancel $*" >> "$(dirname "$0")/calls.log"
echo CANCELLED > "$(dirname "$0")/state"
"""


class Commands:
    """A folder of commands; put it first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    @property
    def path(self) -> str:
        return f"{self.folder}:{os.environ['PATH']}"

    @property
    def calls(self) -> list[str]:
        """How the commands were called."""
        log = self.folder / "calls.log"
        return log.read_text().splitlines() if log.exists() else []

    def program(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def prints(self, name: str, out: str = "", err: str = "", code: int = 0, first: str = "") -> None:
        """Have a command print that and end so; with ``first`` only where that is its first argument."""
        self.program(name, STAND_IN)
        base = f"{name}.{first}" if first else name
        for suffix, text in (("out", out), ("err", err), ("code", str(code))):
            (self.folder / f"{base}.{suffix}").write_text(text)

    @contextlib.contextmanager
    def a_slurm_that_runs(self) -> Iterator[None]:
        """Without accounting."""
        for name, text in (
            ("sbatch", SBATCH),
            ("squeue", SQUEUE),
            ("sacct", SACCT),
            ("scontrol", SCONTROL),
            ("scancel", SCANCEL),
        ):
            self.program(name, text)
        slurmd = subprocess.Popen([self.program("slurmd", SLURMD)], start_new_session=True)
        try:
            yield
        finally:
            os.killpg(slurmd.pid, signal.SIGKILL)
            slurmd.wait(20)
