"""What a run may use up, and setting that on a process which does not run the script yet.

Of these, the kernel holds processor time, file size, open files, processes and each process's own memory; the sum of
memory, the disk and the clock are for whoever watches the run (`usage.py` measures).
"""

from __future__ import annotations

import contextlib
import math
import resource
from dataclasses import dataclass, fields

from knossos.scripting.metadata import RunLimits
from knossos.setting_kinds import MIB
from knossos.settings import Settings

#: Bytes to which a script may raise the stack of its main thread.
STACK_BYTES = 64 * MIB


@dataclass(frozen=True)
class ResolvedLimits:
    """All limits of one run: those of its metadata, else of the settings SCRIPT_*, whose names and units they share."""

    timeout_seconds: float
    cpu_seconds: float
    memory_bytes: int
    file_bytes: int
    disk_bytes: int
    output_bytes: int
    processes: int
    open_files: int
    kill_grace_seconds: float

    @classmethod
    def of(cls, settings: Settings, limits: RunLimits) -> ResolvedLimits:
        values = {}
        for field in fields(cls):
            own = getattr(limits, field.name, None)
            values[field.name] = getattr(settings, f"script_{field.name}") if own is None else own
        return cls(**values)


def resource_limits(limits: ResolvedLimits, processes: int | None) -> dict[int, tuple[int, int]]:
    """Soft and hard limits by their RLIMIT number.

    Memory is RLIMIT_DATA, which counts what a process can write and nobody shares: heap, anonymous mappings, stacks
    of threads. RLIMIT_AS would count what is only reserved as well, and Java, Go, Node and whatever has a sanitizer
    reserve many gigabytes that they never touch.

    Args:
        processes: most processes of the user in the process's user namespace; None: that is not limited.
    """
    cpu = math.ceil(limits.cpu_seconds)
    wanted = {
        # SIGXCPU first, which a script can answer by writing down what it has.
        resource.RLIMIT_CPU: (cpu, cpu + max(1, math.ceil(limits.kill_grace_seconds))),
        resource.RLIMIT_DATA: (limits.memory_bytes, limits.memory_bytes),
        resource.RLIMIT_FSIZE: (limits.file_bytes, limits.file_bytes),
        resource.RLIMIT_NOFILE: (limits.open_files, limits.open_files),
        resource.RLIMIT_STACK: (8 * MIB, STACK_BYTES),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NICE: (0, 0),
        resource.RLIMIT_RTPRIO: (0, 0),
    }
    if processes is not None:
        wanted[resource.RLIMIT_NPROC] = (processes, processes)
    return wanted


def set_limits(pid: int, wanted: dict[int, tuple[int, int]]) -> None:
    """Set limits of another process, none above what it has.

    Raises:
        OSError: the process is gone, or is another user's.
    """
    for kind, (soft, hard) in wanted.items():
        _, most = resource.prlimit(pid, kind)
        hard = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.prlimit(pid, kind, (min(soft, hard), hard))


def die_first(pid: int) -> None:
    """When the machine runs out of memory the kernel shall end this process and its children, not Redis."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write("1000")
