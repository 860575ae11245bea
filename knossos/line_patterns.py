"""Patterns that find a number in a line of what a program prints. Pure.

A pattern is a regular expression of RE2 (https://github.com/google/re2/wiki/Syntax), which takes a time in proportion
to the line on whatever line, with one group for the value: ``(...)`` or ``(?P<value>...)``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

#: Of a longer line only the first characters, so many, are looked at.
MAX_LINE_CHARS = 400
MAX_PATTERN_CHARS = 300

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eEdD][+-]?[0-9]+)?")


def number_of(text: str) -> float | None:
    """A number as programs print it, those of Fortran too (``-0.24D+03``); None where it is none or has no end."""
    text = text.strip()
    if len(text) > MAX_LINE_CHARS or not _NUMBER.fullmatch(text):
        return None
    value = float(text.replace("D", "e").replace("d", "e"))
    return value if math.isfinite(value) else None


@dataclass(frozen=True)
class LinePattern:
    """A pattern that was read. ``source`` is what browsers are given: most of RE2 means the same to them."""

    source: str
    regex: Any

    def value(self, line: str) -> float | None:
        """The number that the pattern finds in a line; None: none."""
        found = self.regex.search(line[:MAX_LINE_CHARS])
        return None if found is None or found[1] is None else number_of(found[1])


@lru_cache(maxsize=64)
def read_pattern(text: str) -> LinePattern:
    """Read a pattern.

    Raises:
        ValueError: it is none that may be; the message says why.
    """
    import re2  # few servers have patterns, and those that have none need not carry it

    if not 0 < len(text) <= MAX_PATTERN_CHARS:
        raise ValueError(f"expected 1 to {MAX_PATTERN_CHARS} characters")
    options = re2.Options()
    options.log_errors = False
    try:
        regex = re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else error
        message = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"expected a regular expression of RE2: {message}") from error
    if regex.groups != 1:
        raise ValueError(f"expected one group for the value, such as ([-+.0-9eE]+) (it has {regex.groups})")
    return LinePattern(text.replace("(?P<", "(?<"), regex)
