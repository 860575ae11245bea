"""Progress bars as text: pure functions from what the task says to the lines of a terminal."""

from __future__ import annotations

import unicodedata
from typing import Any

#: Cells of a bar.
BAR = 24
#: Eighths of a cell.
_PARTS = " ▏▎▍▌▋▊▉"
#: Files that are being worked on come first, then those that failed, then those that wait.
_ORDER = {"downloading": 0, "inspecting": 0, "failed": 1, "waiting": 2, "done": 3}


def draw_bars(progress: tuple[float, str], files: list[dict[str, Any]], columns: int, rows: int) -> list[str]:
    """Return the lines to show: one for the whole task and one for each file, as far as there is room."""
    fraction, text = progress
    lines = [f"{bar(fraction)} {fraction:4.0%}  {text}"]
    room = max(1, rows - 4)
    ordered = sorted(files, key=lambda file: _ORDER.get(str(file.get("phase")), 2))
    lines += [file_line(file) for file in ordered[:room]]
    if len(ordered) > room:
        lines.append(f"... and {len(ordered) - room} more files")
    return [fit(plain(line), max(1, columns - 1)) for line in lines]


def file_line(file: dict[str, Any]) -> str:
    """Say how far the task is with one file."""
    done, total = int(file.get("done_bytes") or 0), file.get("total_bytes")
    phase = str(file.get("phase"))
    fraction = 1.0 if phase == "done" else done / total if total else 0.0
    parts = [bar(fraction), f"{fraction:4.0%}" if total or phase == "done" else "    ", f" {file.get('name')}:", phase]
    if phase in ("downloading", "inspecting"):
        parts.append(f"{size(done)} of {size(total)}" if total else size(done))
        if file.get("bytes_per_second"):
            parts.append(f"{size(file['bytes_per_second'])}/s")
        if file.get("seconds_left") is not None:
            parts.append(f"{duration(file['seconds_left'])} left")
    if file.get("note"):
        parts.append(str(file["note"]))
    return " ".join(parts)


def bar(fraction: float) -> str:
    """Draw a bar of ``BAR`` cells."""
    eighths = round(min(1.0, max(0.0, fraction)) * BAR * 8)
    full, part = divmod(eighths, 8)
    drawn = "█" * full + (_PARTS[part] if part else "")
    return f"▕{drawn:<{BAR}}▏"


def size(count: float) -> str:
    """Write a number of bytes for people."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def duration(seconds: float) -> str:
    """Write a time for people."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, left = divmod(whole, 60)
    return f"{minutes}:{left:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"


def plain(text: str) -> str:
    """Take out control characters: what a server says must not steer the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def fit(text: str, columns: int) -> str:
    """Cut a line so that it does not wrap; letters of East Asia are two columns wide."""
    used = 0
    for at, letter in enumerate(text):
        used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used > columns:
            return text[:at]
    return text
