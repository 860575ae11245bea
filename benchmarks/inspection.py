"""Inspecting archives, against ``7zz t`` of the same archive by the same 7-Zip, which only checks the CRCs.

Ours runs as it runs in a worker: everything is loaded, the function is called. Both take turns, so that whatever
else the machine does hits both; the medians are compared. The inputs are the same on every machine, and are made once.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.archives import big_archive, many_files, pack
from benchmarks.pace import rounds
from benchmarks.rows import row
from knossos.packaging.archives import Limits, SevenZip, inspect_archive
from knossos.settings import Settings

#: What a worker may grow by, in mebibytes, whatever the archive.
ALLOWED_MEBIBYTES = 64

#: Prints how many bytes the process grew at most while it inspected an archive, over what it took when idle.
_GROWTH = """
import json, re, sys
from pathlib import Path
from knossos.packaging.archives import Limits, SevenZip, inspect_archive
from knossos.settings import Settings

def kibibytes(field):
    return int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

sevenzip = SevenZip.locate(Settings())
idle = kibibytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
inspect_archive(Path(sys.argv[1]), limits=Limits(), sevenzip=sevenzip)
print(json.dumps((kibibytes("VmHWM") - idle) * 1024))
"""


def run(folder: Path) -> list[dict[str, Any]]:
    """Make the inputs in ``folder``, where they are not there yet, and measure.

    Returns:
        one row for each figure: name, ours, peer, peer_name, unit, ratio, limit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sevenzip = SevenZip.locate(Settings())
    return [
        compare("7z, 1 GB in 60 files", big_archive(folder), sevenzip, turns=rounds(2), limit=1.08),
        compare("7z, 5,000 files of 4 to 20 kB", many_files(folder), sevenzip, turns=rounds(5), limit=1.25),
        *memory(folder),
    ]


def compare(name: str, archive: Path, sevenzip: SevenZip, turns: int, limit: float) -> dict[str, Any]:
    """Time ours and ``7zz t`` in turns."""
    limits = Limits()
    archive.read_bytes()  # both find it in memory
    test = [str(sevenzip.program), "t", "-bd", "-p", "--", str(archive)]

    def ours() -> None:
        inspect_archive(archive, limits=limits, sevenzip=sevenzip)

    def peer() -> None:
        subprocess.run(test, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

    pairs = [(_seconds(ours), _seconds(peer)) for _ in range(turns)]
    mine, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    return row(f"inspecting a {name}", mine, other, "7zz t", "s", limit)


def memory(folder: Path) -> list[dict[str, Any]]:
    """How much a process grows over its idle size with an archive of 10 MB, and with one of 4 GB."""
    growth = []
    for megabytes in (10, 4000):
        source = folder / f"memory-{megabytes}"
        source.mkdir(exist_ok=True)
        with open(source / "data", "wb") as file:
            file.truncate(megabytes * 10**6)
        archive = pack(source, folder / f"memory-{megabytes}.7z", "-mx=0")
        done = subprocess.run([sys.executable, "-c", _GROWTH, str(archive)], capture_output=True, check=True, text=True)
        growth.append(json.loads(done.stdout) / 2**20)
        archive.unlink()
    return [
        row("memory over idle, archive of 10 MB", growth[0], ALLOWED_MEBIBYTES, "allowed", "MiB", 1),
        row("memory over idle, archive of 4 GB", growth[1], ALLOWED_MEBIBYTES, "allowed", "MiB", 1),
        row("memory, archive of 4 GB beside one of 10 MB", growth[1], growth[0], "10 MB", "MiB", 1.1),
    ]


def _seconds(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


if __name__ == "__main__":
    for row in run(Path(sys.argv[1])):
        print("{name}: {ours} {unit}, {peer_name} {peer} {unit}, ratio {ratio} (limit {limit})".format(**row))
