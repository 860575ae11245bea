"""A table out of comma-separated values, as programs of all kinds write them: which character separates is found out,
rows may be of any length, and quotes may hold lines. Only the first rows are read."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

#: Bytes of a file that a table is read from.
TABLE_BYTES = 4 * 1024 * 1024
#: Rows and columns that a table is shown with, and characters of a cell.
MAX_ROWS, MAX_COLUMNS, MAX_CELL_CHARS = 1000, 100, 300
#: What may separate cells, the likelier ones first.
DELIMITERS = (",", ";", "\t", "|")
#: Rows by which that is told.
_SAMPLE_ROWS, _SAMPLE_CHARS = 50, 64 * 1024

#: Such as -1.5, 1,5, 1e-3, 12 %.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,' ]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?\s?%?", re.ASCII)
_NO_VALUES = frozenset(("", "-", "na", "n/a", "nan", "null", "none", "inf", "-inf"))


@dataclass(frozen=True)
class Table:
    """The beginning of a table. All rows of ``rows`` have as many cells as there are columns."""

    delimiter: str
    #: Names of the columns; the number of one that has none.
    head: Sequence[str]
    has_head: bool
    rows: Sequence[Sequence[str]]
    #: Of each column whether it holds numbers only.
    numeric: Sequence[bool]
    #: How many of the rows had another number of cells than most.
    ragged: int
    #: Whether columns, or the ends of cells, were left out.
    cut: bool
    #: Whether all of the file's rows are here.
    complete: bool


def read_table(text: str, *, whole: bool) -> Table | None:
    """The table that a text is; None where it is none.

    Args:
        whole: this is all of the file; else its last row may be cut, and is left out.
    """
    delimiter = delimiter_of(text)
    if delimiter is None:
        return None
    rows, complete = _rows(text, delimiter, whole=whole)
    if not rows:
        return None
    widths = Counter(len(row) for row in rows)
    ragged = len(rows) - max(widths.values())
    columns = min(MAX_COLUMNS, max(widths))
    cut = max(widths) > MAX_COLUMNS or any(len(cell) > MAX_CELL_CHARS for row in rows for cell in row[:columns])
    even = [_even(row, columns) for row in rows]
    has_head = _is_head(even[0], even[1:])
    names = even[0] if has_head else [""] * columns
    head = [name if name.strip() else str(number) for number, name in enumerate(names, 1)]
    body = even[1:] if has_head else even[:MAX_ROWS]
    numeric = [_is_numeric([row[column] for row in body]) for column in range(columns)]
    return Table(delimiter, head, has_head, body, numeric, ragged, cut, complete and len(rows) <= MAX_ROWS + has_head)


def delimiter_of(text: str) -> str | None:
    """What separates cells: what gives most rows the same number of cells, and more than one. None: nothing does."""
    sample = text[:_SAMPLE_CHARS]
    best, best_score = None, 0.0
    for delimiter in DELIMITERS:
        widths = [len(row) for row in islice(_parsed(sample, delimiter), _SAMPLE_ROWS) if row]
        # The last one may be cut by the end of the sample.
        widths = widths[:-1] if len(widths) > 1 and len(sample) < len(text) else widths
        if not widths:
            continue
        width, count = max(Counter(widths).items(), key=lambda one: (one[1], one[0]))
        score = count / len(widths)
        if width > 1 and score > best_score:
            best, best_score = delimiter, score
    return best if best_score >= 0.5 else None


def _parsed(text: str, delimiter: str) -> Iterator[list[str]]:
    """Rows; they end where a quote is open for longer than a cell may be."""
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error:
        return


def _rows(text: str, delimiter: str, *, whole: bool) -> tuple[list[list[str]], bool]:
    """The first rows, a head among them or not; and whether there are no more."""
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if len(rows) > MAX_ROWS + 1:
                return rows[: MAX_ROWS + 1], False
            if row:
                rows.append(row)
    except csv.Error:
        return rows[: MAX_ROWS + 1], False
    if not whole and rows:
        rows.pop()
    return rows[: MAX_ROWS + 1], whole and len(rows) <= MAX_ROWS + 1


def _even(row: Sequence[str], columns: int) -> list[str]:
    cells = [cell if len(cell) <= MAX_CELL_CHARS else cell[:MAX_CELL_CHARS] + "…" for cell in row[:columns]]
    return cells + [""] * (columns - len(cells))


def _is_head(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether a row names the columns: no numbers, and, where others follow, no name twice."""
    names = [cell.strip() for cell in first if cell.strip()]
    return (
        bool(others) and bool(names) and not any(_is_number(name) for name in names) and len(set(names)) == len(names)
    )


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


def _is_numeric(cells: Sequence[str]) -> bool:
    said = [cell for cell in cells if cell.strip().lower() not in _NO_VALUES]
    return bool(said) and all(_is_number(cell) for cell in said)
