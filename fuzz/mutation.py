"""Changing valid bytes and valid JSON a little, at random: so an input gets past the first checks, and then goes wrong.

Everything comes from the ``Random`` that is given: the same seed gives the same inputs.
"""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from fuzz.hostile import NUMBERS, TEXTS, VALUES

Op = Callable[[Random, bytearray], None]


def text(random: Random) -> str:
    """A text that is hard to take."""
    if random.random() < 0.75:
        return random.choice(TEXTS)
    return "".join(
        chr(random.choice((random.randrange(32, 127), random.randrange(0x3000))))
        for _ in range(random.randrange(1, 40))
    )


def mutated(random: Random, data: bytes, others: Sequence[bytes] = (), most: int = 4) -> bytes:
    """The bytes with one to ``most`` changes; parts of ``others`` may come into it."""
    changed = bytearray(data)
    for _ in range(random.randint(1, most)):
        if others and random.random() < 0.1:
            _splice(random, changed, random.choice(others))
        else:
            random.choice(_OPS)(random, changed)
    return bytes(changed)


def _splice(random: Random, data: bytearray, other: bytes) -> None:
    start = random.randrange(len(other) + 1)
    place = random.randrange(len(data) + 1)
    data[place : place + random.choice((0, 0, 8, 64, len(data)))] = other[start : start + random.choice((8, 64, 4096))]


def _flip(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _byte(random: Random, data: bytearray) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice((0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x2F, random.randrange(256)))


def number_at(random: Random, data: bytearray, place: int) -> None:
    """Write a number over what is at a place, in one of the usual sizes and orders."""
    size = random.choice((1, 2, 2, 4, 4, 4, 8))
    if 0 <= place <= len(data) - size:
        form = {1: "B", 2: "H", 4: "I", 8: "Q"}[size]
        value = random.choice(NUMBERS) & ((1 << 8 * size) - 1)
        struct.pack_into(random.choice("<<<>") + form, data, place, value)


def _number(random: Random, data: bytearray) -> None:
    if data:
        number_at(random, data, random.randrange(len(data)))


def _cut(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data) + 1) :]


def _remove(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data) + 1)
    del data[start : start + random.choice((1, 2, 4, 16, 64, 512))]


def _repeat(random: Random, data: bytearray) -> None:
    start = random.randrange(len(data) + 1)
    piece = data[start : start + random.choice((1, 4, 16, 64, 512))]
    data[start:start] = piece * random.choice((1, 2, 8, 40))


def _insert(random: Random, data: bytearray) -> None:
    place = random.randrange(len(data) + 1)
    filler = (
        random.randbytes(random.randrange(1, 40)),
        bytes(random.randrange(1, 600)),
        text(random).encode("utf-8", "replace"),
    )
    data[place:place] = random.choice(filler)


def _swap(random: Random, data: bytearray) -> None:
    if len(data) > 40:
        first, second = (random.randrange(len(data) - 16) for _ in range(2))
        data[first : first + 16], data[second : second + 16] = data[second : second + 16], data[first : first + 16]


_OPS: tuple[Op, ...] = (_flip, _byte, _byte, _number, _number, _number, _cut, _remove, _repeat, _insert, _swap)


# --- JSON -------------------------------------------------------------------------------------------


def mutated_json(random: Random, document: Any, most: int = 3) -> Any:
    """A copy of the document, with one to ``most`` of its values changed, removed, doubled or nested."""
    changed = [copy.deepcopy(document)]
    for _ in range(random.randint(1, most)):
        places = list(_places(changed))
        holder, key = random.choice(places)
        _change(random, holder, key)
    return changed[0] if changed else None


def _places(holder: Any) -> Any:
    """All places in a document: what holds a value, and the key by which it does."""
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    for key in keys:
        yield holder, key
        if isinstance(holder[key], dict | list) and holder[key]:
            yield from _places(holder[key])


def _change(random: Random, holder: Any, key: Any) -> None:
    value = holder[key]
    what = random.random()
    if what < 0.45:
        holder[key] = (
            text(random) if isinstance(value, str) or random.random() < 0.4 else copy.deepcopy(random.choice(VALUES))
        )
    elif what < 0.55 and isinstance(holder, dict):
        holder[text(random)] = holder.pop(key)
    elif what < 0.65 and isinstance(holder, dict):
        del holder[key]
    elif what < 0.75:
        holder[key] = [copy.deepcopy(value)] * random.choice((1, 2, 50))
    elif what < 0.8:
        for _ in range(random.choice((1, 5, 60))):
            value = random.choice(([value], {"a": value}))
        holder[key] = value
    elif isinstance(value, list) and value:
        value.extend(copy.deepcopy(random.choice(value)) for _ in range(random.choice((1, 2, 30))))
    elif isinstance(value, str):
        holder[key] = value + text(random)
    else:
        holder[key] = copy.deepcopy(random.choice(VALUES))


def json_bytes(random: Random, document: Any) -> bytes:
    """The document as bytes, now and then written oddly or broken."""
    written = json.dumps(document, ensure_ascii=random.random() < 0.5)
    data = written.encode("utf-8", "surrogatepass")
    what = random.random()
    if what < 0.06:
        return mutated(random, data)
    if what < 0.08:
        return b"\xef\xbb\xbf" + data
    if what < 0.1:
        return data.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-32", "utf-7")), "replace")
    if what < 0.12:
        deep = random.choice((50, 2000, 100_000))
        return random.choice((b"[", b'{"a":')) * deep
    if what < 0.14:
        return data.replace(b"1", random.choice((b"NaN", b"-Infinity", b"1e400", b"9" * 5000, b'"\\ud800"')), 1)
    if what < 0.15:
        return data[:-1] + b"," + data[1:] if len(data) > 2 else data
    return data
