"""A look at the LZMA2 data of a 7z: can more than one thread decode them?

LZMA2 is a row of chunks of at most 2 MB, each with its packed size in front of it, so that one can go from chunk to
chunk without decoding any. A chunk that resets the dictionary begins a block, which needs nothing before it: only whole
blocks can be decoded at the same time. With more than one thread 7-Zip holds back a block until all of it is decoded,
which gains nothing where there is no other.

The format is 7-Zip's: DOC/lzma.txt and C/Lzma2Dec.c of the LZMA SDK. What is no LZMA2 is not told apart for certain;
nothing but time hangs on the answer.
"""

from __future__ import annotations

import os

#: Where the packed data of a 7z begin, after its signature header, which says at NEXT_HEADER how long they are.
DATA_AT, NEXT_HEADER = 32, slice(12, 20)
#: Chunks that are looked at, in some ten milliseconds, and bytes of packed data: as many as so many chunks can have.
MOST_CHUNKS = 4096
MOST_BYTES = MOST_CHUNKS * 64 * 1024
_HEAD_BYTES = 6

#: First bytes of chunks. From LZMA on the five low bits are part of the size, and from NEW_PROPERTIES on there is a
#: byte of properties.
_END, _COPY_RESET, _COPY, _LZMA, _NEW_PROPERTIES, _LZMA_RESET = 0x00, 0x01, 0x02, 0x80, 0xC0, 0xE0


def has_single_blocks(descriptor: int) -> bool:
    """Whether most of a 7z's data are LZMA2 streams, of which none has a second block.

    Each of 7-Zip's solid blocks is such a stream. Beyond MOST_CHUNKS or MOST_BYTES the answer is no.
    """
    end = DATA_AT + int.from_bytes(os.pread(descriptor, DATA_AT, 0)[NEXT_HEADER], "little")
    if end > MOST_BYTES:
        return False
    at, whole, blocks = DATA_AT, 0, 0
    for _ in range(MOST_CHUNKS):
        head = os.pread(descriptor, _HEAD_BYTES, at)
        if at >= end or len(head) < _HEAD_BYTES:
            break
        first = head[0]
        if first == _END and blocks:
            at += 1
            whole, blocks = at, 0
            continue
        if first in (_COPY_RESET, _COPY):
            at += 3 + int.from_bytes(head[1:3], "big") + 1
        elif first >= _LZMA:
            at += (6 if first >= _NEW_PROPERTIES else 5) + int.from_bytes(head[3:5], "big") + 1
        else:
            break
        blocks += first == _COPY_RESET or first >= _LZMA_RESET
        if blocks != 1:
            return False
    else:
        return False
    return 2 * whole > end
