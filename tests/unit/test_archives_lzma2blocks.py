"""Whether the data of a 7z are LZMA2 streams of one block each."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from knossos.packaging.archives import SevenZip
from knossos.packaging.archives.lzma2blocks import MOST_BYTES, MOST_CHUNKS, has_single_blocks
from knossos.settings import Settings

#: More than a chunk, of which half can be packed.
CONTENT = b"".join(random.Random(1).randbytes(20_000) + bytes(20_000) for _ in range(120))


def look(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return has_single_blocks(descriptor)
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
    path, content = tmp_path / "a.7z", b"".join(chunks)
    path.write_bytes(bytes(12) + len(content).to_bytes(8, "little") + bytes(12) + content + b"\x01" * 20)
    return path


def copied(first: int, content: bytes = b"x") -> bytes:
    return bytes([first]) + (len(content) - 1).to_bytes(2, "big") + content


END = b"\x00"
BEGINNING, MORE = copied(1, b"\x01" * 9), copied(2, b"\xff" * 300)
PACKED = bytes([0xE0, 0, 0, 0, 4, 0x5D]) + b"\x01" * 5
PACKED_MORE = bytes([0x80, 0, 0, 0, 4]) + b"\x01" * 5


def test_chunks_are_followed_to_their_end_and_no_further(tmp_path: Path) -> None:
    assert look(data(tmp_path, BEGINNING, MORE, PACKED_MORE, MORE, END))
    assert look(data(tmp_path, PACKED, PACKED_MORE, PACKED_MORE, END))
    assert not look(data(tmp_path, BEGINNING, MORE, BEGINNING, END))
    assert not look(data(tmp_path, PACKED, PACKED_MORE, PACKED, END))
    assert not look(data(tmp_path, MORE, BEGINNING, END)), "nothing can go on at the beginning"
    assert not look(data(tmp_path, BEGINNING, b"\x03", END))
    assert not look(data(tmp_path, BEGINNING)), "it does not end"
    assert not look(data(tmp_path, END))
    assert not look(data(tmp_path))


def test_a_second_solid_block_counts_as_well_as_the_first(tmp_path: Path) -> None:
    assert look(data(tmp_path, BEGINNING, MORE, END, PACKED, PACKED_MORE, END))
    assert not look(data(tmp_path, BEGINNING, END, BEGINNING, MORE, BEGINNING, END))
    assert look(data(tmp_path, BEGINNING, MORE, END, bytes(100))), "a header, packed in another way"
    assert not look(data(tmp_path, BEGINNING, END, bytes(1000))), "most of it is something else"


def test_what_ends_early_or_goes_on_for_too_long_is_left_to_7zip(tmp_path: Path) -> None:
    cut = data(tmp_path, BEGINNING, copied(2, bytes(1000)), END)
    cut.write_bytes(cut.read_bytes()[:500])
    assert not look(cut)
    cut.write_bytes(b"7z")
    assert not look(cut)
    assert look(data(tmp_path, BEGINNING, *[MORE] * (MOST_CHUNKS - 3), END))
    assert not look(data(tmp_path, BEGINNING, *[MORE] * MOST_CHUNKS, END))
    large = data(tmp_path, BEGINNING, END)
    with large.open("r+b") as file:
        file.seek(12)
        file.write(MOST_BYTES.to_bytes(8, "little"))
    assert not look(large)
