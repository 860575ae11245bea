"""What a run leaves behind: the table on the terminal, ``var/bench.json``, and, of a whole run, the page in ``docs/``.

Owns ``docs/benchmarks.json`` (`Whole`, what was measured and where), and all that is made of it:
``docs/benchmarks.md``, the pictures ``docs/images/bench-GROUP.svg``, and the part of the README between its two marks.
A run of some groups only touches none of these: they would be of different hours, and perhaps of different machines.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from benchmarks.chart import draw
from benchmarks.curve import draw_growth
from benchmarks.rows import Row
from benchmarks.words import WORDS

BEGIN, END = "<!-- written by make bench: begin -->", "<!-- written by make bench: end -->"

#: What stands in the README before anything was measured.
NOTHING = "`make bench` measures, and writes its figures here."


class Measured(TypedDict):
    """One group: what it is called, how many seconds it took, the share of its rounds for which there was time
    (`pace.py`), and its rows."""

    title: str
    seconds: int
    share: float
    rows: list[Row]


class Whole(TypedDict):
    """A run of all groups: when (date, UTC) and on what, and the groups by name, in order."""

    date: str
    machine: str
    groups: dict[str, Measured]


def whole(groups: Mapping[str, Measured]) -> Whole:
    """A run of all groups, that ends now on this machine."""
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": _machine(), "groups": dict(groups)}


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    load = os.getloadavg()[2]
    processors = len(os.sched_getaffinity(0))
    return (
        f"{processors} processors ({_processor()}), {memory:.0f} GiB of memory, {platform.system()} "
        f"{platform.release().partition('-')[0]}, Python {platform.python_version()}, load of the 15 minutes {load:.1f}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | ours | peer | unit | ratio | at most |", "|---|---:|---|---|---:|---:|"]
    for row in rows:
        peer = f"{row['peer']:,} ({row['peer_name']})"
        limit = "" if row["limit"] is None else row["limit"]
        over = " **over**" if is_over(row) else ""
        lines.append(f"| {row['name']} | {row['ours']:,} | {peer} | {row['unit']} | {row['ratio']}{over} | {limit} |")
    return "\n".join(lines)


def is_over(row: Row) -> bool:
    """Whether a figure is above its limit."""
    return row["limit"] is not None and row["ratio"] > row["limit"]


def page(found: Whole) -> str:
    """``docs/benchmarks.md``."""
    seconds = sum(group["seconds"] for group in found["groups"].values())
    parts = [
        "# Benchmarks",
        "Written by `make bench`: ours and each peer in the same run, on the same machine. A ratio below 1 means that "
        "ours needs less. *At most* is the ratio that is allowed; **over** marks what is above it.",
        f"{found['date']}, {found['machine']}. The whole took {seconds // 60} minutes and {seconds % 60} seconds.",
    ]
    for name, group in found["groups"].items():
        parts += [f"## {group['title']}", f"![{group['title']}](images/bench-{name}.svg)", table(group["rows"])]
        parts += [WORDS[name]] if name in WORDS else []
        fewer = "" if group["share"] == 1 else f", with {group['share']:.0%} of its rounds, since the time ran short"
        parts.append(f"`python -m benchmarks {name}` measures these; it took {group['seconds']} s{fewer}.")
    return "\n\n".join(parts) + "\n"


def excerpt(found: Whole | None) -> str:
    """What stands in the README: of each group the figure that is nearest to its limit, or over it."""
    if found is None:
        return NOTHING
    rows = [nearest for group in found["groups"].values() if (nearest := _nearest(group["rows"]))]
    over = sum(is_over(row) for group in found["groups"].values() for row in group["rows"])
    count = sum(row["limit"] is not None for group in found["groups"].values() for row in group["rows"])
    said = "none is" if not over else f"{over} {'is' if over == 1 else 'are'}"
    return "\n\n".join(
        [
            f"Of {count} figures with a limit {said} over it. Of each group the one that is nearest to its limit:",
            table(rows),
            f"Measured by `make bench` on {found['date']}: {found['machine']}. All of them, with pictures: "
            "[docs/benchmarks.md](docs/benchmarks.md).",
        ]
    )


def _nearest(rows: list[Row]) -> Row | None:
    return max((row for row in rows if row["limit"]), key=lambda row: row["ratio"] / row["limit"], default=None)


def with_excerpt(readme: str, found: Whole | None) -> str:
    """The README with the present excerpt between its marks.

    Raises:
        ValueError: it has no such marks.
    """
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has not both of {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{excerpt(found)}\n{END}{after}"


def pictures(found: Mapping[str, Measured]) -> dict[str, str]:
    """The picture of each group, by the file's name."""
    return {
        f"bench-{name}.svg": (draw_growth if name == "growth" else draw)(group["title"], group["rows"])
        for name, group in found.items()
    }


def keep(root: Path, found: Mapping[str, Measured], *, everything: bool) -> None:
    """Write what a run leaves behind; each file is there whole or as it was."""
    rows = [row for group in found.values() for row in group["rows"]]
    files = {root / "var" / "bench.json": json.dumps(rows, indent=1) + "\n"}
    folder = root / "docs" / "images" if everything else root / "var" / "bench"
    files |= {folder / name: picture for name, picture in pictures(found).items()}
    if everything:
        all_of_it, readme = whole(found), root / "README.md"
        files[root / "docs" / "benchmarks.json"] = json.dumps(all_of_it, indent=1) + "\n"
        files[root / "docs" / "benchmarks.md"] = page(all_of_it)
        files[readme] = with_excerpt(readme.read_text(), all_of_it)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, text)


def write(path: Path, text: str) -> None:
    """Write a file that is there whole or as it was."""
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(text)
    temporary.replace(path)
