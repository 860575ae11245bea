"""Whether the data of a 7z are LZMA2 that is one block."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from knossos.packaging.archives import SevenZip
from knossos.packaging.archives.lzma2blocks import DATA_AT, MOST_CHUNKS, has_one_block
from knossos.settings import Settings

#: More than a chunk, of which half can be packed.
CONTENT = b"".join(random.Random(1).randbytes(20_000) + bytes(20_000) for _ in range(120))


def look(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return has_one_block(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("switches", "one"),
    [
        (["-m0=LZMA2", "-mmt=1"], True),
        (["-m0=LZMA2", "-mmt=2"], True),
        (["-m0=LZMA2:c=1m", "-mmt=2"], False),
        (["-m0=LZMA2:c=2m", "-mmt=1"], False),
        (["-m0=BCJ", "-m1=LZMA2"], True),
        (["-m0=LZMA"], False),
        (["-m0=PPMd"], False),
        (["-m0=BZip2"], False),
        (["-mx=0"], False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_7zip_packs_is_told_apart(tmp_path: Path, switches: list[str], one: bool) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    archive = tmp_path / "a.7z"
    program = str(SevenZip.locate(Settings()).program)
    subprocess.run([program, "a", "-bso0", "-bsp0", *switches, "--", str(archive), "file"], cwd=tmp_path, check=True)
    assert look(archive) is one


def data(tmp_path: Path, *chunks: bytes) -> Path:
    path = tmp_path / "a.7z"
    path.write_bytes(bytes(DATA_AT) + b"".join(chunks) + bytes(8))
    return path


def copied(first: int, content: bytes = b"x") -> bytes:
    return bytes([first]) + (len(content) - 1).to_bytes(2, "big") + content


def test_chunks_are_followed_to_their_end_and_no_further(tmp_path: Path) -> None:
    first, more = copied(1, b"\x01" * 9), copied(2, b"\xff" * 300)
    packed = bytes([0xE0, 0, 0, 0, 4, 0x5D]) + b"\x01" * 5
    going_on = bytes([0x80, 0, 0, 0, 4]) + b"\x01" * 5
    assert look(data(tmp_path, first, more, going_on, more))
    assert look(data(tmp_path, packed, going_on, going_on))
    assert not look(data(tmp_path, first, more, first))
    assert not look(data(tmp_path, packed, going_on, packed))
    assert not look(data(tmp_path, more, first)), "nothing can go on at the beginning"
    assert not look(data(tmp_path, first, b"\x03"))
    assert not look(data(tmp_path))


def test_what_ends_early_is_left_to_7zip_and_what_goes_on_for_long_is_not_read_to_its_end(tmp_path: Path) -> None:
    whole = data(tmp_path, copied(1), copied(2, bytes(1000)))
    whole.write_bytes(whole.read_bytes()[:500])
    assert not look(whole)
    assert look(data(tmp_path, copied(1), *[copied(2)] * MOST_CHUNKS, copied(1)))
