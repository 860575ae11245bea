"""SHA-256 that can be put down and taken up again, by another process too.

The inner state of `hashlib`'s objects cannot be saved, so this calls the same library (OpenSSL, the one that Python's
own `_hashlib` has loaded) through its older functions, whose state lies open. What is saved is eight words, the count
of bytes and the bytes of an unfinished block: the same on every machine. Where the library lacks these functions, or
they do not give what `hashlib` gives, `AVAILABLE` is False, and whoever wanted to go on hashes from the beginning.
"""

from __future__ import annotations

import _hashlib
import ctypes
import hashlib
import struct
from typing import Any

_BLOCK_BYTES = 64
#: Eight words and the count of bytes; the bytes of an unfinished block follow.
_STATE = struct.Struct(">8IQ")


class _Context(ctypes.Structure):
    """OpenSSL's SHA256_CTX."""

    _fields_ = (
        ("h", ctypes.c_uint32 * 8),
        ("low", ctypes.c_uint32),
        ("high", ctypes.c_uint32),
        ("data", ctypes.c_ubyte * _BLOCK_BYTES),
        ("num", ctypes.c_uint),
        ("md_len", ctypes.c_uint),
    )


class RunningHash:
    """Like ``hashlib.sha256()``, with a `state` to go on from. Other threads run while it works."""

    def __init__(self, state: bytes | None = None) -> None:
        """Raises ValueError where ``state`` is none that `state` has given."""
        self._context = _Context()
        _library.SHA256_Init(ctypes.byref(self._context))
        if state is not None:
            self._load(state)

    def update(self, data: bytes) -> None:
        _library.SHA256_Update(ctypes.byref(self._context), data, len(data))

    def state(self) -> bytes:
        """What another object needs to go on from here."""
        context = self._context
        count = ((context.high << 32) | context.low) // 8
        return _STATE.pack(*context.h, count) + bytes(context.data[: context.num])

    def hexdigest(self) -> str:
        # On a copy, since the end changes the state.
        context = _Context.from_buffer_copy(self._context)
        digest = ctypes.create_string_buffer(32)
        _library.SHA256_Final(digest, ctypes.byref(context))
        return digest.raw.hex()

    def _load(self, state: bytes) -> None:
        words, block = state[: _STATE.size], state[_STATE.size :]
        if len(words) < _STATE.size:
            raise ValueError("not the state of a SHA-256")
        *h, count = _STATE.unpack(words)
        if len(block) != count % _BLOCK_BYTES:
            raise ValueError("not the state of a SHA-256")
        context = self._context
        context.h[:] = h
        context.low, context.high = (count * 8) & 0xFFFFFFFF, (count * 8) >> 32
        context.data[: len(block)] = list(block)
        context.num = len(block)


def _find_library() -> Any:
    try:
        # Its functions are found through what it is linked with. CDLL lets other threads run during a call.
        library: Any = ctypes.CDLL(_hashlib.__file__)
        context = ctypes.POINTER(_Context)
        library.SHA256_Init.argtypes = [context]
        library.SHA256_Update.argtypes = [context, ctypes.c_char_p, ctypes.c_size_t]
        library.SHA256_Final.argtypes = [ctypes.c_char_p, context]
    except (OSError, AttributeError):
        return None
    return library


def _works() -> bool:
    """Whether it gives what `hashlib` gives, also when it goes on from a saved state."""
    if _library is None:
        return False
    data = bytes(range(251)) * 3
    for cut in (0, 64, 100, len(data)):
        first = RunningHash()
        first.update(data[:cut])
        second = RunningHash(first.state())
        second.update(data[cut:])
        if second.hexdigest() != hashlib.sha256(data).hexdigest():
            return False
    return True


_library = _find_library()
#: Whether this can be used here.
AVAILABLE = _works()
