"""A picture of what grows: for each figure a curve over the number of tasks or releases, and the logarithm beside it.

It reads the rows of ``growth.py``, whose names end with ", among <number> ...". SVG as in ``chart.py``.
"""

from __future__ import annotations

import math
import re
from html import escape

from benchmarks.chart import MARGIN, picture
from benchmarks.rows import Row

HEAD, COLUMNS = 56, 2
#: A panel, and the room for its title and its numbers, in pixels.
PANEL_WIDTH, PANEL_HEIGHT, TITLE_HEIGHT, FOOT_HEIGHT = 376, 160, 38, 24

_NAME = re.compile(r"(.+), among ([\d,]+)( .*)?")

#: Of a figure: the number of things, what it costs in multiples of the fewest, and what it may.
Point = tuple[int, float, float]


def points_of(rows: list[Row]) -> dict[str, list[Point]]:
    """The curves by the names of their figures, from the fewest (1, by which all is divided) to the most."""
    curves: dict[str, list[Point]] = {}
    for row in rows:
        found, fewest = _NAME.fullmatch(row["name"]), _NAME.fullmatch(f"x, {row['peer_name']}")
        if found and fewest and row["limit"] is not None:
            first = (int(fewest[2].replace(",", "")), 1.0, 1.0)
            curves.setdefault(found[1], [first]).append((int(found[2].replace(",", "")), row["ratio"], row["limit"]))
    return {name: sorted(points) for name, points in curves.items()}


def draw_growth(title: str, rows: list[Row]) -> str:
    """The picture as text."""
    curves = points_of(rows)
    lines = math.ceil(len(curves) / COLUMNS)
    height = HEAD + lines * PANEL_HEIGHT + MARGIN
    about = (
        "up: in multiples of the fewest; across: how many there are, logarithmic; red: a logarithm, the most allowed"
    )
    parts = []
    for number, (name, points) in enumerate(curves.items()):
        left = MARGIN + number % COLUMNS * (PANEL_WIDTH + MARGIN)
        parts.append(_panel(name, points, left, HEAD + number // COLUMNS * PANEL_HEIGHT))
    return picture(title, about, height, parts)


def _panel(name: str, points: list[Point], left: float, top: float) -> str:
    most = max(value for _, ratio, limit in points for value in (ratio, limit))
    low, high = math.log(points[0][0]), math.log(points[-1][0])
    bottom, room = top + PANEL_HEIGHT - FOOT_HEIGHT, PANEL_HEIGHT - TITLE_HEIGHT - FOOT_HEIGHT
    width = PANEL_WIDTH - 100

    def place(count: int, value: float) -> tuple[float, float]:
        return left + 40 + width * (math.log(count) - low) / (high - low), bottom - room * value / most

    ours = [place(count, ratio) for count, ratio, _ in points]
    allowed = [place(count, limit) for count, _, limit in points]
    over = any(ratio > limit for _, ratio, limit in points)
    parts = [
        f'<text x="{left}" y="{top + 16}">{escape(name)}</text>',
        f'<line class="axis" x1="{left}" x2="{left + PANEL_WIDTH}" y1="{bottom}" y2="{bottom}"/>',
        f'<polyline class="limit line" points="{_joined(allowed)}"/>',
        f'<polyline class="{"over" if over else "ours"} line" points="{_joined(ours)}"/>',
    ]
    for (count, ratio, _), (x, y) in zip(points, ours, strict=True):
        parts += [
            f'<circle class="{"over" if over else "ours"}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>',
            f'<text class="small middle" x="{x:.1f}" y="{bottom + 16}">{count:,}</text>',
            f'<text class="small middle" x="{x:.1f}" y="{y - 6:.1f}">{ratio:.2f}</text>',
        ]
    return "\n".join(parts)


def _joined(places: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
