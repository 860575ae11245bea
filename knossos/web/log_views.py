"""A game's log as the page shows it: pure functions that cut it into lines and find the serious ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Lines on one page: what a browser lays out and searches without a pause.
LINES_PER_PAGE = 10_000
#: Lines in a block; a browser skips the layout of blocks that are out of sight.
LINES_PER_BLOCK = 250
#: Most serious lines that the page's head names.
MAX_SERIOUS = 12

_ERROR = re.compile(
    r"\berror:|^error\b"
    r"|\b(?:fatal|assertion failed|assert:|exception|access violation|segmentation fault|crash(?:ed)?\b)",
    re.IGNORECASE,
)
_WARNING = re.compile(r"\bwarning\b", re.IGNORECASE)
#: Lines that say that all is well use the same words.
_HARMLESS = re.compile(r"\b(?:no|0|without) (?:errors?|warnings?|exceptions?)\b", re.IGNORECASE)

#: A line without any of these is not serious; telling so is cheaper than the patterns.
_WORDS = ("error", "fatal", "assert", "exception", "violation", "fault", "crash", "warning")


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    text: str
    #: "error", "warning" or "".
    level: str


@dataclass(frozen=True)
class LogView:
    """One page of a log, and what is to be known of the whole of it."""

    blocks: list[list[Line]]
    page: int
    pages: int
    line_count: int
    errors: int
    warnings: int
    #: The first serious lines of the whole log, errors before warnings.
    serious: list[Line]


def level_of(text: str) -> str:
    lower = text.lower()
    if not any(word in lower for word in _WORDS) or _HARMLESS.search(text):
        return ""
    if _ERROR.search(text):
        return "error"
    return "warning" if _WARNING.search(text) else ""


def log_view(text: str, page: int = 1) -> LogView:
    """The page of that number; one that there is not becomes the nearest that there is."""
    texts = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    lines = [Line(number, line, level_of(line)) for number, line in enumerate(texts, 1)]
    pages = -(-len(lines) // LINES_PER_PAGE)
    page = min(max(1, page), pages)
    shown = lines[(page - 1) * LINES_PER_PAGE : page * LINES_PER_PAGE]
    errors = [line for line in lines if line.level == "error"]
    warnings = [line for line in lines if line.level == "warning"]
    return LogView(
        blocks=[shown[start : start + LINES_PER_BLOCK] for start in range(0, len(shown), LINES_PER_BLOCK)],
        page=page,
        pages=pages,
        line_count=len(lines),
        errors=len(errors),
        warnings=len(warnings),
        serious=(errors + warnings)[:MAX_SERIOUS],
    )


def page_of(number: int) -> int:
    """The page on which a line stands."""
    return (number - 1) // LINES_PER_PAGE + 1
