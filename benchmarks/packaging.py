"""Reading archives with all that is known of them afterwards, beside three ways to do that with other programs.

The peers: ``7zz t``, which only checks the CRCs; ``7zz x`` and then ``md5sum`` of what it wrote; ``7zz x -so`` into
``md5sum``, which has one sum of everything; and libarchive, which hashes the files as it reads. One archive, and ten at
once in two processes. Ours has MD5 and SHA-256 of each file; where all processors decompress already, what that takes
comes on top of the time (docs/decisions/0030).
All take turns, so that whatever else the machine does hits all of them; medians are compared.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks import installed
from benchmarks.archives import SOME, SOME_BYTES, some_files
from benchmarks.pace import rounds
from benchmarks.rows import Row, row
from knossos.packaging.archives import Limits, SevenZip, inspect_archive
from knossos.settings import Settings

#: Turns with one archive, and with ten.
ROUNDS, TEN_ROUNDS = 5, 2

#: Most that ours may need beside each peer: one archive, and ten on processors that all work already.
LIMITS = {
    "7zz t": (1.25, 1.5),
    "7zz x, then md5sum": (1.0, 1.2),
    "7zz x -so into md5sum": (1.0, 1.2),
    "libarchive, md5 as it reads": (1.0, 1.0),
}

T = TypeVar("T")


def run(folder: Path) -> list[Row]:
    """Measure, in about a minute.

    Raises:
        MissingDependency: libarchive is not there.
    """
    installed.libarchive()
    archive = some_files(folder)
    archive.read_bytes()  # all find it in memory
    others = {
        "7zz t": _test,
        "7zz x, then md5sum": partial(_extract, folder),
        "7zz x -so into md5sum": _stream,
        "libarchive, md5 as it reads": _libarchive,
    }
    one = _in_turns({"ours": _ours, **others}, rounds(ROUNDS), lambda reader: reader(archive))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, context) as two:
        list(two.map(_ours, [archive] * 4))  # all is loaded
        sides = {"ours": _ours, **others}
        ten = _in_turns(sides, rounds(TEN_ROUNDS), lambda reader: list(two.map(reader, [archive] * 10)))
    megabytes = SOME * SOME_BYTES // 10**6
    return [
        *(row(f"a 7z of {megabytes} MB", one["ours"], one[name], name, "s", LIMITS[name][0]) for name in others),
        *(row("ten of them, two at once", ten["ours"], ten[name], name, "s", LIMITS[name][1]) for name in others),
    ]


def _in_turns(sides: dict[str, T], turns: int, do: Callable[[T], object]) -> dict[str, float]:
    """Medians in seconds."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(turns):
        for name, side in sides.items():
            began = time.perf_counter()
            do(side)
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _ours(archive: Path) -> None:
    inspect_archive(archive, limits=Limits(), sevenzip=SevenZip.locate(Settings()))


def _test(archive: Path) -> None:
    _call("t", "-bd", "-p", "--", str(archive))


def _extract(folder: Path, archive: Path) -> None:
    made = tempfile.mkdtemp(dir=folder)
    try:
        _call("x", "-bd", "-p", f"-o{made}", "--", str(archive))
        files = [str(path) for path in Path(made).rglob("*") if path.is_file()]
        subprocess.run(["md5sum", "--", *files], check=True, stdout=subprocess.DEVNULL)
    finally:
        shutil.rmtree(made)


def _stream(archive: Path) -> None:
    command = [_program(), "x", "-so", "-bd", "-p", "--", str(archive)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as unpacking:
        subprocess.run(["md5sum"], check=True, stdin=unpacking.stdout, stdout=subprocess.DEVNULL)
    if unpacking.returncode:
        raise subprocess.CalledProcessError(unpacking.returncode, command)


def _call(*arguments: str) -> None:
    subprocess.run([_program(), *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _program() -> str:
    return str(SevenZip.locate(Settings()).program)


def _libarchive(archive: Path) -> None:
    import libarchive

    with libarchive.file_reader(str(archive)) as entries:
        for entry in entries:
            digest = hashlib.md5(usedforsecurity=False)
            for block in entry.get_blocks():
                digest.update(block)
