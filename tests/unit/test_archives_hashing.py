"""Cutting and hashing one stream."""

from __future__ import annotations

import hashlib
import io
import random
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knossos.packaging.archives.contents import Contents, Plan, Planned
from knossos.packaging.archives.errors import ArchiveDamaged
from knossos.packaging.archives.hashing import BUFFER_BYTES, RING_BUFFERS, Cut, Digest, hash_stream


def expected(data: bytes) -> Digest:
    return Digest(hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest(), zlib.crc32(data))


def contents_of(pieces: list[bytes]) -> Contents:
    return Contents("a.7z", Plan("a.7z", [Planned(str(n), len(piece), "file") for n, piece in enumerate(pieces)]))


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=50), max_size=10), st.integers(1, 30))
def test_each_piece_gets_its_own_digests(pieces: list[bytes], reads: int) -> None:
    stream = io.BytesIO(b"".join(pieces))
    digests = hash_stream(lambda view: stream.readinto(view[:reads]), contents_of(pieces))
    assert digests == [expected(piece) for piece in pieces if piece]


@pytest.mark.parametrize("rounds", [1, 2, RING_BUFFERS - 1, RING_BUFFERS, RING_BUFFERS + 1, 2 * RING_BUFFERS + 3])
def test_pieces_of_any_size_come_out_right_however_often_the_buffers_are_reused(rounds: int) -> None:
    generator = random.Random(rounds)
    data = generator.randbytes(rounds * BUFFER_BYTES)
    marks = sorted(generator.sample(range(1, len(data)), 20))
    pieces = [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True)]
    stream = io.BytesIO(data)
    assert hash_stream(stream.readinto, contents_of(pieces)) == [expected(piece) for piece in pieces]


def test_more_bytes_than_promised_are_an_error() -> None:
    stream = io.BytesIO(b"abcdef")
    with pytest.raises(ArchiveDamaged, match="more bytes"):
        hash_stream(stream.readinto, contents_of([b"abc"]))


def test_fewer_bytes_than_promised_are_an_error_that_names_the_entry() -> None:
    contents = contents_of([b"abc", b"def"])
    digests = hash_stream(io.BytesIO(b"abcd").readinto, contents)
    with pytest.raises(ArchiveDamaged, match="fewer bytes") as caught:
        contents.verify(digests, None, AssertionError)
    assert caught.value.entry == "1"


def test_no_thread_stays_when_reading_fails_in_the_middle() -> None:
    before = threading.active_count()
    reads = 0

    def fail_later(view: memoryview) -> int:
        nonlocal reads
        reads += 1
        if reads > 4:
            raise OSError("gone")
        return len(view)

    class One:
        def cut(self, view: memoryview) -> list[Cut]:
            return [Cut(0, len(view), False)]

        def end(self) -> list[Cut]:
            return [Cut(0, 0, True)]

    with pytest.raises(OSError, match="gone"):
        hash_stream(fail_later, One())
    assert threading.active_count() == before


def test_progress_tells_the_bytes_so_far() -> None:
    told: list[int] = []
    data = bytes(3 * BUFFER_BYTES + 5)
    hash_stream(io.BytesIO(data).readinto, contents_of([data]), told.append)
    assert told == [BUFFER_BYTES, 2 * BUFFER_BYTES, 3 * BUFFER_BYTES, len(data)]
