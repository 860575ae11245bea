"""How fast a big file comes from loopback with both hashes, beside a plain loop that only reads and writes it.

`python -m benchmarks.download [MIB]` prints both medians and their ratio. The server runs in a process of its own, as
it would elsewhere; all figures are seconds of wall time.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.request import urlopen

from tests.support.downloads import Bench
from tests.support.file_server import FileServer

ROUNDS = 5


def measure(mebibytes: int, folder: Path) -> dict[str, float]:
    """Seconds for a plain copy, and for a download by Knossos, of a file of that size."""
    source, target = folder / "source", folder / "copy"
    block = os.urandom(1024 * 1024)
    with source.open("wb") as file:
        for number in range(mebibytes):
            file.write(number.to_bytes(8, "big") + block[8:])
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(str(source), theirs))
    server.start()
    bench = Bench(folder)
    try:
        url: str = ours.recv()

        def plain() -> None:
            with urlopen(url) as answer, target.open("wb", buffering=0) as file:
                while piece := answer.read(1024 * 1024):
                    file.write(piece)

        def whole() -> None:
            bench.downloader.fetch([url], bench.target)

        return {"plain": _median(plain, target), "knossos": _median(whole, bench.target)}
    finally:
        ours.send("end")
        server.join()
        bench.close()


def _serve(source: str, pipe: Connection) -> None:
    with FileServer() as server:
        pipe.send(server.file("/file", Path(source)))
        pipe.recv()


def _median(run: Callable[[], None], made: Path) -> float:
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
        made.unlink()
    return statistics.median(times)


def main() -> None:
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 525
    with tempfile.TemporaryDirectory() as folder:
        found = measure(mebibytes, Path(folder))
    print(f"{mebibytes} MiB: plain copy {found['plain']:.2f} s, download with MD5 and SHA-256 {found['knossos']:.2f} s")


if __name__ == "__main__":
    main()
