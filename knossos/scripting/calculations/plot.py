"""What calculations print over time: the numbers that the patterns of CALCULATION_PLOT find in their standard output.

Pure but for the clock: however much was printed, and whatever it is, reading it ends after a while. The numbers of a
series are counted from 1, which is what the pages call the iteration.
"""

from __future__ import annotations

import codecs
import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from knossos.line_patterns import MAX_LINE_CHARS, LinePattern, read_pattern
from knossos.settings import Settings

#: Numbers of one series that are read at most.
MAX_VALUES = 100_000
#: Seconds for which one output is read.
READING_SECONDS = 3.0
_ENDS = re.compile(r"[\r\n]")


@dataclass(frozen=True)
class PlotSeries:
    """One line of a plot."""

    label: str
    #: "" for a number without one.
    unit: str
    pattern: LinePattern


@dataclass(frozen=True)
class Values:
    """The numbers of each series, in order. ``cut``: there is more output, which was not read."""

    series: tuple[list[float], ...]
    cut: bool = False

    @property
    def last(self) -> tuple[float | None, ...]:
        """The last number of each series; None where there is none, or the last ones were not read."""
        return tuple(one[-1] if one and not self.cut else None for one in self.series)


def plot_series(settings: Settings) -> tuple[PlotSeries, ...]:
    """What the operator has named in CALCULATION_PLOT."""
    return tuple(
        PlotSeries(one["label"], one.get("unit", ""), read_pattern(one["pattern"])) for one in settings.calculation_plot
    )


def fingerprint(series: tuple[PlotSeries, ...]) -> str:
    """Changes with the patterns: what was read by others is read anew."""
    return hashlib.sha256("\n".join(one.pattern.source for one in series).encode()).hexdigest()[:16]


def read_values(
    series: tuple[PlotSeries, ...], pieces: Iterable[str], seconds: float = READING_SECONDS
) -> Values:  # fmt: skip
    """The numbers in a text that comes in pieces."""
    found: tuple[list[float], ...] = tuple([] for _ in series)
    until = time.monotonic() + seconds
    cut = False
    for line in lines_of(pieces):
        if time.monotonic() > until:
            return Values(found, cut=True)
        for one, values in zip(series, found, strict=True):
            value = one.pattern.value(line)
            if value is None:
                continue
            if len(values) < MAX_VALUES:
                values.append(value)
            else:
                cut = True
    return Values(found, cut)


def lines_of(pieces: Iterable[str]) -> Iterator[str]:
    """The lines of a text, each as far as it is looked at. A carriage return ends one as well: bars of progress."""
    begun = ""
    for piece in pieces:
        first, *others = _ENDS.split(piece)
        # Whatever is longer than that is not looked at: it may be as long as it likes.
        begun = (begun + first[:MAX_LINE_CHARS])[:MAX_LINE_CHARS]
        for other in others:
            yield begun
            begun = other[:MAX_LINE_CHARS]
    if begun:
        yield begun


def decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    """The text of an output that is kept."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)
