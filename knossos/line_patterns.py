"""Patterns that find a number in a line of what a program prints. Pure.

A pattern is a regular expression out of a part of that language which Python and browsers understand alike, and that
takes no long time on whatever line: what may be matched in several ways is counted when the pattern is read, and a
pattern with too many of them is refused then. `LinePattern.source` is the same expression in words that both have.

In a pattern: characters, ``.``, classes (``[0-9]``, ``\\d``, ``\\s``, ``\\w`` and their opposites, of ASCII),
``(?:...)`` with ``|``, ``^`` first and ``$`` last, ``?`` after anything, ``*``, ``+`` and ``{2,5}`` after one
character or class, and one group for the value, ``(...)`` or ``(?P<value>...)``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import NoReturn

#: Of a longer line only the first characters, so many, are looked at.
MAX_LINE_CHARS = 400
#: Longest pattern, and in how many ways it may match at most where it begins.
MAX_PATTERN_CHARS = 300
MAX_WAYS = 1000

_LAST = 0x10FFFF
#: Characters as ranges, first and last, in order and apart from each other.
Ranges = tuple[tuple[int, int], ...]
_DIGITS: Ranges = ((48, 57),)
_SPACES: Ranges = ((9, 13), (32, 32))
_WORDS: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_CLASSES = {"d": _DIGITS, "s": _SPACES, "w": _WORDS}
_SINGLE = {"t": 9, "f": 12, "v": 11}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eEdD][+-]?[0-9]+)?")
_COUNTS = re.compile(r"\{([0-9]{1,3})(?:(,)([0-9]{1,3})?)?\}")


def number_of(text: str) -> float | None:
    """A number as programs print it, those of Fortran too (``-0.24D+03``); None where it is none or has no end."""
    text = text.strip()
    if len(text) > MAX_LINE_CHARS or not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace("D", "e").replace("d", "e"))
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class LinePattern:
    """A pattern that was read. ``source`` means the same to Python and, with the flag ``u``, to JavaScript."""

    source: str
    regex: re.Pattern[str]

    def value(self, line: str) -> float | None:
        """The number that the pattern finds in a line; None: none."""
        found = self.regex.search(line[:MAX_LINE_CHARS])
        return None if found is None or found[1] is None else number_of(found[1])


@lru_cache(maxsize=64)
def read_pattern(text: str) -> LinePattern:
    """Read a pattern.

    Raises:
        ValueError: it is none that may be; the message says why, and where.
    """
    if not 0 < len(text) <= MAX_PATTERN_CHARS:
        raise ValueError(f"expected 1 to {MAX_PATTERN_CHARS} characters")
    reader = _Reader(text)
    whole, at_start, at_end = reader.whole()
    if reader.groups != 1:
        raise ValueError(f"expected one group for the value, such as ([-+.0-9eE]+) (it has {reader.groups})")
    ways = _ways_of(whole, ())
    if ways > MAX_WAYS:
        raise ValueError(
            "it may match one line in too many ways; at most one repeat may be of what may also follow it: "
            "write [^:]*: rather than .*:"
        )
    source = f"{'^' if at_start else ''}{_written(whole)}{'$' if at_end else ''}"
    return LinePattern(source, re.compile(source))


# --- what a pattern is made of -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chars:
    ranges: Ranges


@dataclass(frozen=True)
class _Group:
    alternatives: tuple[tuple[_Node, ...], ...]
    captures: bool


@dataclass(frozen=True)
class _Repeat:
    what: _Chars | _Group
    least: int
    #: None: without limit.
    most: int | None
    lazy: bool


_Node = _Chars | _Group | _Repeat


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self.groups = 0

    def whole(self) -> tuple[_Group, bool, bool]:
        """All of it, and whether it holds the start and the end of the line."""
        at_start = self._take("^")
        found = self._alternatives(captures=False)
        at_end = self._text.endswith("$") and self._at == len(self._text) - 1
        if not at_end and self._at < len(self._text):
            self._fail("this closes nothing" if self._peek() == ")" else "$ is expected at the end only")
        return found, at_start, at_end

    def _alternatives(self, captures: bool) -> _Group:
        found: list[tuple[_Node, ...]] = []
        while True:
            items: list[_Node] = []
            while self._at < len(self._text) and self._peek() not in "|)$":
                items.append(self._item())
            found.append(tuple(items))
            if not self._take("|"):
                return _Group(tuple(found), captures)

    def _item(self) -> _Node:
        begin = self._at
        what = self._atom()
        counts = self._counts()
        if counts is None:
            return what
        least, most = counts
        if isinstance(what, _Group) and (least, most) != (0, 1):
            self._at = begin
            self._fail("only ? may follow a group; expected the others after one character or class")
        lazy = self._take("?")
        if self._peek() in "*+?{":
            self._fail("expected one repeat, not several")
        return _Repeat(what, least, most, lazy)

    def _counts(self) -> tuple[int, int | None] | None:
        for sign, counts in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return counts
        if self._peek() != "{":
            return None
        found = _COUNTS.match(self._text, self._at)
        if found is None:
            self._fail("expected {2}, {2,} or {2,5}, or \\{ for the character")
        self._at = found.end()
        least = int(found[1])
        most = least if not found[2] else None if found[3] is None else int(found[3])
        if most is not None and most < max(1, least):
            self._fail("the second number of {2,5} is the larger one")
        return least, most

    def _atom(self) -> _Chars | _Group:
        if self._peek() in "*+?{":
            self._fail("there is nothing here to repeat")
        sign = self._next()
        if sign == "(":
            return self._group()
        if sign == "[":
            return _Chars(self._class())
        if sign == ".":
            return _Chars(_opposite(((10, 10),)))
        if sign == "^":
            self._at -= 1
            self._fail("^ is expected at the beginning only")
        return _Chars(self._escape() if sign == "\\" else self._one(sign))

    def _group(self) -> _Group:
        begin = self._at - 1
        captures = True
        if self._take("?:"):
            captures = False
        elif self._take("?P<"):
            name, closed, _ = self._text[self._at :].partition(">")
            if not closed or not name.isidentifier():
                self._fail("expected a group with a name such as (?P<value>...)")
            self._at += len(name) + 1
        elif self._peek() == "?":
            self._fail("of groups there are (...), (?P<value>...) and (?:...) only")
        self.groups += captures
        found = self._alternatives(captures)
        if self._peek() == "$":
            self._fail("$ is expected at the end only")
        if not self._take(")"):
            self._at = begin
            self._fail("this group is not closed")
        return found

    def _class(self) -> Ranges:
        begin, negated, found = self._at - 1, self._take("^"), list[tuple[int, int]]()
        while not self._take("]"):
            if self._at >= len(self._text):
                self._at = begin
                self._fail("this class is not closed")
            first = self._member()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                last = self._member()
                if len(first) > 1 or len(last) > 1 or first[0][0] != first[0][1] or last[0][0] < first[0][0]:
                    self._fail("expected a range such as 0-9")
                found.append((first[0][0], last[0][0]))
            else:
                found += first
        if not found:
            self._fail("expected a class with something in it")
        return _opposite(_joined(found)) if negated else _joined(found)

    def _member(self) -> Ranges:
        sign = self._next()
        if sign == "[":
            self._fail("write \\[ for this character in a class")
        return self._escape() if sign == "\\" else self._one(sign)

    def _escape(self) -> Ranges:
        sign = self._next()
        if sign.lower() in _CLASSES:
            found = _CLASSES[sign.lower()]
            return found if sign.islower() else _opposite(found)
        if sign in _SINGLE:
            return ((_SINGLE[sign], _SINGLE[sign]),)
        if sign.isalnum():
            self._at -= 1
            self._fail(f"\\{sign} is not known here")
        return self._one(sign)

    def _one(self, sign: str) -> Ranges:
        if ord(sign) < 32 or 0xD800 <= ord(sign) <= 0xDFFF or ord(sign) > 0xFFFF:
            self._fail("this character cannot be in a pattern")
        return ((ord(sign), ord(sign)),)

    def _next(self) -> str:
        if self._at >= len(self._text):
            self._fail("something is missing at the end")
        self._at += 1
        return self._text[self._at - 1]

    def _peek(self) -> str:
        # A space, which is nothing here, stands for the end.
        return self._text[self._at] if self._at < len(self._text) else " "

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _fail(self, message: str) -> NoReturn:
        raise ValueError(f"character {min(self._at + 1, len(self._text))}: {message}")


# --- in how many ways it may match ---------------------------------------------------------------------


def _first(items: Iterable[_Node], follow: Ranges = ()) -> Ranges:
    """With what a part may begin; ``follow`` where there may be nothing of it."""
    found: Ranges = ()
    for item in items:
        found = _joined((*found, *_first_of(item)))
        if not _may_be_nothing(item):
            return found
    return _joined((*found, *follow))


def _first_of(item: _Node) -> Ranges:
    if isinstance(item, _Chars):
        return item.ranges
    if isinstance(item, _Repeat):
        return _first_of(item.what)
    return _joined(one for alternative in item.alternatives for one in _first(alternative))


def _may_be_nothing(item: _Node) -> bool:
    if isinstance(item, _Repeat):
        return item.least == 0 or _may_be_nothing(item.what)
    return isinstance(item, _Group) and any(all(map(_may_be_nothing, one)) for one in item.alternatives)


def _ways_of(item: _Node, follow: Ranges) -> int:
    """In how many ways it may match at one place, at most, with ``follow`` after it."""
    if isinstance(item, _Chars):
        return 1
    if isinstance(item, _Repeat):
        most = MAX_LINE_CHARS if item.most is None else min(item.most, MAX_LINE_CHARS)
        choices = most - item.least + 1 if most > item.least and _meet(_first_of(item.what), follow) else 1
        return _ways_of(item.what, follow) * max(1, choices)
    ways = 1
    for alternative in item.alternatives:
        after = follow
        for part in reversed(alternative):
            ways *= _ways_of(part, after)
            after = _first((part,), after)
    begins = [_first(alternative, follow) for alternative in item.alternatives]
    nothing = sum(all(map(_may_be_nothing, one)) for one in item.alternatives)
    if nothing > 1 or any(_meet(one, other) for one, other in combinations(begins, 2)):
        ways *= len(begins)
    return ways


# --- characters ----------------------------------------------------------------------------------------


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def _opposite(ranges: Ranges) -> Ranges:
    return tuple(_between(ranges))


def _between(ranges: Ranges) -> Iterator[tuple[int, int]]:
    at = 0
    for first, last in ranges:
        if first > at:
            yield at, first - 1
        at = last + 1
    if at <= _LAST:
        yield at, _LAST


def _meet(one: Ranges, other: Ranges) -> bool:
    return any(a <= d and c <= b for a, b in one for c, d in other)


# --- the same, written for both ------------------------------------------------------------------------


def _written(item: _Node) -> str:
    if isinstance(item, _Chars):
        return _class_written(item.ranges)
    if isinstance(item, _Group):
        inside = "|".join("".join(map(_written, alternative)) for alternative in item.alternatives)
        return f"({'' if item.captures else '?:'}{inside})"
    signs = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    last = "" if item.most is None else str(item.most)
    counts = signs.get((item.least, item.most)) or f"{{{item.least},{last}}}"
    return f"{_written(item.what)}{counts}{'?' if item.lazy else ''}"


def _class_written(ranges: Ranges) -> str:
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _char_written(ranges[0][0])
    negated = bool(ranges) and ranges[-1][1] == _LAST
    shown = _opposite(ranges) if negated else ranges
    if not shown:
        # Whatever it is.
        return r"[\x00-\uffff]"
    inside = "".join(
        _char_written(first) if first == last else f"{_char_written(first)}-{_char_written(last)}"
        for first, last in shown
    )
    return f"[{'^' if negated else ''}{inside}]"


def _char_written(code: int) -> str:
    if chr(code).isascii() and chr(code).isalnum():
        return chr(code)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
