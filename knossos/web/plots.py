"""Plots as SVG, for pages without scripts and for the first look at all others. Pure: from numbers to markup.

Colours, widths and fonts are the style sheet's (``plot.css``), so that both themes have theirs. Each plot comes twice,
for wide and for narrow windows: letters in a drawing shrink with it, and the style sheet shows the one that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from knossos.web.plot_scale import Axis, Point, number_axis, thinned, value_axis, written
from knossos.web.wording import counted

#: Points with a dot each, at the most: more would be a band.
MOST_DOTS = 60
_LETTER = 7.3


@dataclass(frozen=True)
class Line:
    label: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Size:
    """Of a drawing, in its own units, which are pixels where it is as wide as that."""

    name: str
    width: int
    height: int
    marks_across: int
    marks_up: int


WIDE = Size("wide", 1040, 320, 10, 6)
NARROW = Size("narrow", 330, 250, 4, 5)


def plot(lines: Sequence[Line], unit: str, key: str) -> Markup:
    """Both drawings of some lines over the numbers of their values; "" where there is nothing to draw.

    Args:
        unit: of all the values.
        key: begins the ids in the drawings, which a page has once.
    """
    drawn = [line for line in lines if line.points]
    if not drawn:
        return Markup("")
    return Markup("").join(_drawing(lines, unit, key, size) for size in (WIDE, NARROW))


def summary(lines: Sequence[Line], unit: str) -> str:
    """What a plot shows, for those who do not see it."""
    return " ".join(_said(line, f" {unit}" if unit else "") for line in lines if line.points)


def _said(line: Line, unit: str) -> str:
    values = [value for _, value in line.points]
    span = f"from {written(min(values))} to {written(max(values))}{unit}"
    return f"{line.label}: {counted(len(values), 'value')} {span}; the last one is {written(values[-1])}{unit}."


def _drawing(lines: Sequence[Line], unit: str, key: str, size: Size) -> Markup:
    points = [point for line in lines for point in line.points]
    across = number_axis(min(at for at, _ in points), max(at for at, _ in points), size.marks_across)
    up = value_axis(min(value for _, value in points), max(value for _, value in points), size.marks_up)
    left = 14 + round(_LETTER * max((len(text) for _, text in up.marks), default=1))
    frame = _Frame(left, 12, size.width - left - 14, size.height - 58, across, up)
    name = f"{key}-{size.name}"
    title = ", ".join(line.label for line in lines) + (f" in {unit}" if unit else "") + " over iterations"
    return Markup(
        '<svg class="plot plot-{}" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title {}-desc">'
        '<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>{}{}'
        '<text class="plot-name" x="{}" y="{}" text-anchor="middle">Iteration</text></svg>'
    ).format(
        size.name, size.width, size.height, name, name, name, title, name, summary(lines, unit),
        frame.grid(), Markup("").join(frame.line(line, number, size.width) for number, line in enumerate(lines)),
        left + frame.width // 2, size.height - 8,
    )  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    left: int
    top: int
    width: int
    height: int
    across: Axis
    up: Axis

    def x(self, at: float) -> str:
        return _short(self.left + self.across.place(at) * self.width)

    def y(self, value: float) -> str:
        return _short(self.top + (1 - self.up.place(value)) * self.height)

    def grid(self) -> Markup:
        right, bottom = self.left + self.width, self.top + self.height
        up = (
            Markup(
                '<line class="plot-grid" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>'
                '<text class="plot-mark" x="{3}" y="{2}" dy="0.32em" text-anchor="end">{4}</text>'
            ).format(self.left, right, self.y(value), self.left - 8, text)
            for value, text in self.up.marks
        )
        across = (
            Markup(
                '<line class="plot-tick" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>'
                '<text class="plot-mark" x="{0}" y="{3}" text-anchor="middle">{4}</text>'
            ).format(self.x(at), bottom, bottom + 5, bottom + 20, text)
            for at, text in self.across.marks
        )
        axis = Markup('<line class="plot-axis" x1="{}" x2="{}" y1="{}" y2="{}"/>')
        return Markup("").join([*up, *across, axis.format(self.left, right, bottom, bottom)])

    def line(self, line: Line, number: int, columns: int) -> Markup:
        places = [(self.x(at), self.y(value)) for at, value in thinned(line.points, columns)]
        path = " ".join(f"{'L' if index else 'M'}{x} {y}" for index, (x, y) in enumerate(places))
        dots = places if len(places) <= MOST_DOTS else places[-1:]
        return Markup('<path class="plot-line plot-line-{}" d="{}"/>').format(number, path) + Markup("").join(
            Markup('<circle class="plot-dot plot-line-{}" cx="{}" cy="{}" r="3"/>').format(number, x, y)
            for x, y in dots
        )


def _short(value: float) -> str:
    return str(escape(f"{value:.1f}".removesuffix(".0")))
