"""BLAKE2b-512 that is put down and taken up again, so that nothing is hashed twice.

`hashlib` gives the state of a BLAKE2b away to nobody; libsodium, in PyNaCl, keeps it in plain memory. A state says
nothing of the library that made it, so it is good for the very same one only: `KIND` names that, and whoever keeps
states keeps it beside them. What always holds: a state that was damaged, or is that of another place, is refused.
"""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

import nacl
from nacl.bindings import (
    crypto_generichash_blake2b_final,
    crypto_generichash_blake2b_init,
    crypto_generichash_blake2b_update,
)

#: Bytes from one checkpoint to the next: so many are hashed in vain at the most, within a millisecond or two.
STEP_BYTES = 1024 * 1024

_SUM_BYTES, _SEAL_BYTES = 64, 16

#: OpenSSL's is faster than Python's own, where there is one.
HASHLIB_NAME = "blake2b512" if "blake2b512" in hashlib.algorithms_available else "blake2b"


class Checkpoint(NamedTuple):
    """The sealed state after the first ``offset`` bytes of a file, which is a multiple of `STEP_BYTES`."""

    offset: int
    state: bytes


class ResumableSum:
    """The sum of ``size`` bytes so far."""

    def __init__(self) -> None:
        self._state = crypto_generichash_blake2b_init(digest_size=_SUM_BYTES)
        self.size = 0

    @classmethod
    def taken_up(cls, checkpoint: Checkpoint | None) -> ResumableSum:
        """Where a checkpoint is; at the beginning where there is none, or one that is damaged."""
        taken = cls()
        if checkpoint is None:
            return taken
        state, seal = checkpoint.state[:-_SEAL_BYTES], checkpoint.state[-_SEAL_BYTES:]
        memory = taken._state._statebuf
        if len(state) == len(memory) and seal == _seal(checkpoint.offset, state):
            memory[0 : len(state)] = state
            taken.size = checkpoint.offset
        return taken

    def update(self, data: bytes) -> None:
        crypto_generichash_blake2b_update(self._state, data)
        self.size += len(data)

    def put_down(self) -> Checkpoint:
        state = bytes(self._state._statebuf)
        return Checkpoint(self.size, state + _seal(self.size, state))

    def hexdigest(self) -> str:
        """The sum of all; nothing can be added any more."""
        return crypto_generichash_blake2b_final(self._state).hex()


class FileSum(NamedTuple):
    """The sum of a file as hex, from which byte on it was hashed, and the checkpoints on the way."""

    hexdigest: str
    start: int
    passed: list[Checkpoint]


def sum_of_file(descriptor: int, checkpoint: Checkpoint | None = None) -> FileSum:
    """Hash a file that begins with what the checkpoint stands for, from there to its end. Needs an open descriptor."""
    if not KIND:
        with open(descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return FileSum(hashlib.file_digest(file, HASHLIB_NAME).hexdigest(), 0, [])
    running, passed = ResumableSum.taken_up(checkpoint), []
    start = running.size
    while piece := os.pread(descriptor, STEP_BYTES - running.size % STEP_BYTES, running.size):
        running.update(piece)
        if running.size % STEP_BYTES == 0:
            passed.append(running.put_down())
    return FileSum(running.hexdigest(), start, passed)


def _seal(offset: int, state: bytes) -> bytes:
    return hashlib.blake2b(b"%d " % offset + state, digest_size=_SEAL_BYTES).digest()


def _kind() -> str:
    """The library, its version, and what its state looks like: the version may be built upon any libsodium. Empty
    where its states cannot be put down and taken up, whatever the reason: then all is hashed each time."""
    data = bytes(range(256)) * 3
    try:
        first = ResumableSum()
        first.update(data[:300])
        checkpoint = first.put_down()
        second = ResumableSum.taken_up(checkpoint)
        second.update(data[300:])
        if second.size != len(data) or second.hexdigest() != hashlib.blake2b(data).hexdigest():
            return ""
    except (AttributeError, TypeError, ValueError):
        return ""
    return f"PyNaCl {nacl.__version__} {checkpoint.state[-_SEAL_BYTES:].hex()}"


#: What states of now are good for; a state of any other kind is of no use.
KIND = _kind()
