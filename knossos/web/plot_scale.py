"""Where the marks of an axis are, what stands at them, and which of many points a line needs. Pure.

``static/js/plot_scale.js`` says the same in the browser, and a test asks both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

#: A point: the number of the value, from 1, and the value.
Point = tuple[int, float]

#: From these numbers on, and below that step, marks are written with exponents.
_LARGE, _FINE = 1e6, 1e-7
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Axis:
    """From where to where an axis goes, and its marks with what stands at them."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        """Where a value lies, from 0 at ``low`` to 1 at ``high``."""
        return (value - self.low) / (self.high - self.low)


def value_axis(low: float, high: float, most: int) -> Axis:
    """An axis over values from ``low`` to ``high``, with some room around them, and about ``most`` marks."""
    # Where all are the same the line is in the middle.
    same = high - low <= max(abs(low), abs(high)) * 1e-12
    room = (abs(low) * 1e-3 or 1.0) if same else (high - low) * 0.06
    low, high = low - room, high + room
    return Axis(low, high, _marks(low, high, most))


def number_axis(first: int, last: int, most: int) -> Axis:
    """An axis over the numbers of values, whose marks are whole."""
    high = max(last, first + 1)
    return Axis(first, high, tuple((at, text) for at, text in _marks(first, high, most, least=1.0) if at <= high))


def _marks(low: float, high: float, most: int, least: float = 0.0) -> tuple[tuple[float, str], ...]:
    step = max(_step((high - low) / most), least)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [number * step for number in range(first, last + 1)]
    largest = max(map(abs, values), default=0.0)
    # A digit more than the step's own place would say nothing.
    place = math.floor(math.log10(step) + 1e-9)
    if largest >= _LARGE or step < _FINE:
        digits = min(12, max(0, math.floor(math.log10(largest)) - place)) if largest else 0
        return tuple((value, _exponent(f"{value:.{digits}e}")) for value in values)
    return tuple((value, _signed(f"{value:.{max(0, -place)}f}")) for value in values)


def _step(rough: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... that is not less."""
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1.0, 2.0, 5.0):
        if rough <= factor * power * (1 + 1e-9):
            return factor * power
    return 10.0 * power


def _signed(text: str) -> str:
    if not text.strip("-0."):
        return text.lstrip("-")
    return text.replace("-", _MINUS)


def _exponent(text: str) -> str:
    return _signed(re.sub(r"e([+-])0*(\d)", r"e\1\2", text)).replace("e+", "e")


def written(value: float) -> str:
    """A value for people."""
    return _exponent(f"{value:.12g}")


def thinned(points: Sequence[Point], columns: int) -> list[Point]:
    """The points that a line needs which is so many columns wide: the first, the lowest, the highest and the last of
    each column. All of them where there are not more than that."""
    if len(points) <= 4 * columns:
        return list(points)
    first, last = points[0][0], points[-1][0]
    found: list[Point] = []
    column: list[Point] = []
    at = 0
    for point in points:
        here = min(columns - 1, (point[0] - first) * columns // (last - first))
        if here != at and column:
            found += _outline(column)
            column = []
        at = here
        column.append(point)
    return found + _outline(column)


def _outline(column: Sequence[Point]) -> list[Point]:
    lowest = min(column, key=lambda point: point[1])
    highest = max(column, key=lambda point: point[1])
    return sorted({column[0], lowest, highest, column[-1]})
