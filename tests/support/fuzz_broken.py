"""A target of fuzzing that is broken on purpose, in each of the ways that count."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from fuzz.targets import Place

PLACE = Place.PROCESS

#: An input for each way of breaking, and one that is taken.
FINE, ERROR, DEAD, HANG, MEMORY, OUTSIDE = b"fine", b"error", b"dead", b"hang", b"memory", b"outside"


def inputs(random: Random) -> Iterator[bytes]:
    while True:
        yield random.choice((FINE, ERROR))


def make(folder: Path) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        if data == ERROR:
            {}["nothing"]
        elif data == DEAD:
            os.abort()
        elif data == HANG:
            time.sleep(3600)
        elif data == MEMORY:
            b"x" * (1 << 40)
        elif data == OUTSIDE:
            (folder.parent / "beside" / "room.txt").write_text("changed")
        elif data == b"swallowed":
            filled = bytearray(400_000_000)
            filled[::4096] = b"x" * len(filled[::4096])

    return take
