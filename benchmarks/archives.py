"""The archives that benchmarks read: the same on every machine, and made once.

A group makes those that it needs and that are not there yet. A run of all groups makes all of them before the first, on
all processors: one after the other they would take a fifth of the time that such a run has.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Never

from benchmarks import installed
from knossos.packaging.archives import SevenZip
from knossos.settings import Settings

GIGABYTE = 10**9
#: What the archive of some files holds: this many of so many bytes.
SOME, SOME_BYTES = 8, 2_500_000
CHUNK_BYTES = 65536
#: Chunks that are made, which takes longer than to pack them.
DISTINCT = 1500


#: Ten archives of one file each, by their method: how each is packed, and how many bytes it holds.
TEN = {
    "PPMd": (("-m0=PPMd", "-mmt=1"), 4_000_000),
    "LZMA": (("-mx=1", "-m0=LZMA", "-mmt=1"), 10_000_000),
}


def run(folder: Path) -> list[Never]:
    """Make all of them. Nothing is measured.

    Raises:
        MissingDependency: a peer that a later group needs; better now than after some minutes.
    """
    installed.find_all()
    others: list[Callable[[Path], object]] = [many_files, some_files, *(partial(ten, method=method) for method in TEN)]
    with ThreadPoolExecutor(2) as two:
        # The big one takes as long as all others.
        for made in [two.submit(make, folder) for make in (big_archive, *others)]:
            made.result()
    return []


def big_archive(folder: Path) -> Path:
    """A 7z of 1 GB in 60 files that packs to about half."""
    # As 7-Zip's level 1, but looking for repetitions in one place only: packing takes two thirds of the time.
    packing = ("-m0=LZMA2:a=0:d=256k:mf=hc4:fb=32:mc=1",)
    return _of_some_files(folder, "big", 60, GIGABYTE // 60, 1, packing)


def some_files(folder: Path) -> Path:
    """A 7z of some files that packs to about half."""
    return _of_some_files(folder, "some", SOME, SOME_BYTES, 3, ("-mx=1",))


def ten(folder: Path, method: str) -> list[Path]:
    """Ten archives of one file each, no two of them alike."""
    switches, size = TEN[method]
    made = []
    for number in range(10):
        archive = folder / f"ten-{method}-{size}-{number}.7z"
        if not archive.exists():
            source = folder / f"ten-{method}"
            source.mkdir(exist_ok=True)
            Data(10 + number).write(source / "data.vp", size)
            pack(source, archive, *switches)
        made.append(archive)
    return made


def _of_some_files(folder: Path, name: str, files: int, file_bytes: int, seed: int, packing: tuple[str, ...]) -> Path:
    archive = folder / f"{name}.7z"
    if not archive.exists():
        source = folder / name
        source.mkdir(exist_ok=True)
        data = Data(seed)
        for number in range(files):
            data.write(source / f"data-{number:02}.vp", file_bytes)
        # One thread: one LZMA2 block, which no number of threads decodes any faster.
        pack(source, archive, *packing, "-mmt=1")
    return archive


def many_files(folder: Path) -> Path:
    """A 7z of 5,000 files of 4 to 20 kB in 50 folders."""
    archive = folder / "many.7z"
    if not archive.exists():
        source = folder / "many"
        data = Data(2)
        for number in range(5000):
            path = source / f"data-{number % 50:02}" / f"file_{number:04}.tbl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.chunk()[: data.chance.randrange(4000, 20_000)])
        pack(source, archive, "-mx=5", "-mmt=1")
    return archive


class Data:
    """Bytes that pack to about half: words, words with noise between them, and noise.

    After DISTINCT chunks they come again in any order, so far apart that no packer here notices.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._chunks: list[bytes] = []
        self._words = [self.chance.randbytes(self.chance.randrange(4, 40)) for _ in range(3000)]

    def write(self, path: Path, count: int) -> None:
        """A file of so many bytes."""
        with open(path, "wb") as file:
            while file.tell() < count:
                file.write(self.chunk()[: count - file.tell()])

    def chunk(self) -> bytes:
        if len(self._chunks) == DISTINCT:
            return self.chance.choice(self._chunks)
        self._chunks.append(self._new())
        return self._chunks[-1]

    def _new(self) -> bytes:
        kind = self.chance.random()
        if kind < 0.2:
            return self.chance.randbytes(CHUNK_BYTES)
        if kind < 0.5:
            return b"".join(self.chance.choices(self._words, k=CHUNK_BYTES // 18))[:CHUNK_BYTES]
        noise = self.chance.randbytes(CHUNK_BYTES)
        pieces = []
        place = 0
        while place < CHUNK_BYTES // 2:
            length = 1 + noise[place] % 24
            pieces += [self._words[noise[place] * 10 + noise[place + 1]], noise[place : place + length]]
            place += length
        return b"".join(pieces)[:CHUNK_BYTES]


def pack(source: Path, archive: Path, *switches: str) -> Path:
    """Make an archive of a folder and remove the folder."""
    sevenzip = SevenZip.locate(Settings())
    unfinished = archive.with_name(f"new-{archive.name}")
    unfinished.unlink(missing_ok=True)
    subprocess.run(
        [str(sevenzip.program), "a", "-bso0", "-bsp0", *switches, "--", str(unfinished.absolute()), "."],
        cwd=source,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    unfinished.replace(archive)
    shutil.rmtree(source)
    return archive
