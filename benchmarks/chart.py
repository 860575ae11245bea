"""A picture of one group's rows: how many times the peer's each figure is, and how many times it may be.

SVG without scripts, fonts or colours from elsewhere; light or dark as the reader has it.
"""

from __future__ import annotations

import math
from html import escape

from benchmarks.rows import Row

WIDTH, MARGIN, ROW_HEIGHT, BAR_HEIGHT, HEAD = 800, 16, 50, 14, 48
#: Pixels that the longest bar has, and that its text behind it needs.
BAR_WIDTH, TEXT_WIDTH = 480, 290

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1c2430 }
.title { font-size: 16px; font-weight: 600 }
.small { fill: #5a6675 }
.ours { fill: #2468b4 }
.over { fill: #b3392f }
.peer { stroke: #5a6675; stroke-dasharray: 3 3 }
.limit { stroke: #b3392f; stroke-width: 2 }
.ground { fill: #ffffff }
.axis { stroke: #5a6675 }
.middle { text-anchor: middle }
.line { fill: none; stroke-width: 2 }
.limit.line { stroke-dasharray: 5 4 }
.ours.line { stroke: #2468b4 }
.over.line { stroke: #b3392f }
@media (prefers-color-scheme: dark) {
text { fill: #e6eaf0 } .small { fill: #9aa7b6 } .ours { fill: #5b9fe8 } .over { fill: #e8776d }
.peer { stroke: #9aa7b6 } .limit { stroke: #e8776d } .ground { fill: #161b22 }
.axis { stroke: #9aa7b6 } .ours.line { stroke: #5b9fe8; fill: none } .over.line { stroke: #e8776d; fill: none }
}
"""


def draw(title: str, rows: list[Row]) -> str:
    """The picture as text. A logarithmic scale where the figures are too far apart for another one."""
    marks = [value for row in rows for value in (row["ratio"], row["limit"], 1.0) if value]
    least, most = min(marks), max(marks)
    logarithmic = most / least > 12
    height = HEAD + ROW_HEIGHT * len(rows) + MARGIN

    def place(value: float) -> float:
        if not logarithmic:
            return BAR_WIDTH * value / most
        low = math.log(least / 2)
        return BAR_WIDTH * max(0.0, math.log(max(value, least / 2)) - low) / (math.log(most) - low)

    scale = "logarithmic; " if logarithmic else ""
    about = f"bars: ours in multiples of the peer's ({scale}dashed: the peer; red line: the most that is allowed)"
    bars = [_bar(row, HEAD + ROW_HEIGHT * number, place) for number, row in enumerate(rows)]
    return picture(title, about, height, bars)


def picture(title: str, about: str, height: float, drawn: list[str]) -> str:
    """An SVG with a title and what it says above what is drawn."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="{MARGIN}" y="22">{escape(title)}</text>',
        f'<text class="small" x="{MARGIN}" y="40">{about}</text>',
        *drawn,
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _bar(row: Row, top: float, place: object) -> str:
    assert callable(place)
    over = row["limit"] is not None and row["ratio"] > row["limit"]
    y, end = top + 20, place(row["ratio"])
    lines = [
        f'<text x="{MARGIN}" y="{top + 15}">{escape(row["name"])}</text>',
        f'<rect class="{"over" if over else "ours"}" x="{MARGIN}" y="{y}" width="{end:.1f}" height="{BAR_HEIGHT}"/>',
        _mark("peer", place(1.0), y),
    ]
    if row["limit"] is not None:
        lines.append(_mark("limit", place(row["limit"]), y))
    said = f"{row['ours']:,} {row['unit']}; {row['peer_name']}: {row['peer']:,}"
    lines.append(f'<text class="small" x="{MARGIN + BAR_WIDTH + 8}" y="{y + 11}">{escape(_short(said))}</text>')
    return "\n".join(lines)


def _mark(kind: str, x: float, y: float) -> str:
    return f'<line class="{kind}" x1="{MARGIN + x:.1f}" x2="{MARGIN + x:.1f}" y1="{y - 3}" y2="{y + BAR_HEIGHT + 3}"/>'


def _short(text: str, most: int = 44) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
