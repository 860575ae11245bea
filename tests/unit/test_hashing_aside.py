"""Hashing in a thread of its own gives what hashing on the spot gives, and leaves no thread behind."""

from __future__ import annotations

import hashlib
import threading

import pytest

from knossos.hashing_aside import WAITING_PIECES, HashingAside


def hashing_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hashing"]


@pytest.mark.parametrize("count", [0, 1, 2, 3, WAITING_PIECES + 3, 100])
def test_pieces_are_hashed_in_their_order(count: int) -> None:
    aside = HashingAside(hashlib.sha256())
    pieces = [bytes([number]) * 1000 for number in range(count)]
    for piece in pieces:
        aside.update(piece)
    assert aside.result().hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
    aside.close()
    assert aside.result().hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert not hashing_threads()


def test_what_fits_into_one_piece_needs_no_thread() -> None:
    aside = HashingAside(hashlib.sha256())
    aside.update(b"all")
    assert not hashing_threads()
    assert aside.result().digest() == hashlib.sha256(b"all").digest()


class Gate:
    """A hash that waits until it may."""

    def __init__(self) -> None:
        self.open, self.seen = threading.Event(), 0

    def update(self, data: bytes) -> None:
        assert self.open.wait(60)
        self.seen += 1


def test_who_brings_bytes_goes_on_until_too_many_pieces_wait() -> None:
    gate = Gate()
    aside = HashingAside(gate)
    # The one that the thread is at, and those that wait for it.
    for _ in range(1 + WAITING_PIECES):
        aside.update(b"x")
    assert gate.seen == 0
    more = threading.Thread(target=aside.update, args=(b"x",))
    more.start()
    more.join(0.2)
    assert more.is_alive()
    gate.open.set()
    more.join()
    assert aside.result().seen == 2 + WAITING_PIECES


class Broken:
    def update(self, data: bytes) -> None:
        raise MemoryError("no room")


def test_what_goes_wrong_in_the_thread_is_raised_where_the_hash_is_asked_for() -> None:
    aside = HashingAside(Broken())
    for _ in range(3 * WAITING_PIECES):
        aside.update(b"x")
    with pytest.raises(MemoryError, match="no room"):
        aside.result()
    assert not hashing_threads()
