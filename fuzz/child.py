"""The process of a target that needs no server: ``python -m fuzz.child TARGET FOLDER MEMORY RESIDENT``.

Reads inputs from standard input, each after its length, and writes a line about each to standard output.
"""

from __future__ import annotations

import json
import os
import re
import resource
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.crashes import Broken, CrashKind
from fuzz.targets import load

_PAGE = os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> int:
    """Serve one parent until it closes the pipe."""
    target, folder, memory, resident = arguments
    # What a target prints must not come between the lines.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    take = load(target).make(Path(folder))
    _limit_memory(int(memory))
    print("null", file=answers, flush=True)
    while len(size := sys.stdin.buffer.read(4)) == 4:
        data = sys.stdin.buffer.read(struct.unpack("<I", size)[0])
        print(json.dumps(said_of(take, data, int(resident))), file=answers, flush=True)
    return 0


def said_of(take: Callable[[bytes], None], data: bytes, resident: int) -> dict[str, str] | None:
    """Run one input; None where it broke nothing."""
    before = _begin_to_measure()
    try:
        take(data)
    except Broken as broken:
        return {"kind": broken.kind.value, "detail": broken.detail}
    except MemoryError:
        return {"kind": CrashKind.MEMORY.value, "detail": traceback.format_exc()[-3000:]}
    except (Exception, SystemExit):
        return {"kind": CrashKind.ERROR.value, "detail": traceback.format_exc()[-3000:]}
    if _peak() - before > resident:
        return {"kind": CrashKind.MEMORY.value, "detail": f"took more than {resident} bytes of memory"}
    return None


def _begin_to_measure() -> int:
    """Bytes of memory that this process has now, which is its peak from here on: an input before has had its own."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak begins anew
    return _bytes_of("VmRSS")


def _peak() -> int:
    """Bytes of memory that this process has had at most since then."""
    return _bytes_of("VmHWM")


def _bytes_of(field: str) -> int:
    (kilobytes,) = re.findall(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) * 1024


def _limit_memory(above: int) -> None:
    pages: Any = Path("/proc/self/statm").read_text().split()[0]
    limit = int(pages) * _PAGE + above
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
