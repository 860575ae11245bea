"""A runner's results: CSV or JSON that its command left, read strictly and within bounds.

Pure: it gets a stream that is open already (the worker opens files so that no link leads out of the run's directory)
and gives JSON-ready values. What always holds: no NaN and no infinity comes out, and what cannot be read whole and
without doubt is `ResultsBroken`, whose text says what is wrong to whoever called the runner.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from knossos.errors import KnossosError
from knossos.scripting.plan import CsvColumn, ResultsPlan
from knossos.scripting.runners.strict_json import read_json

#: Most bytes of the results as the command leaves them. What is more is for an attachment.
MAX_RESULTS_BYTES = 64 * 1024 * 1024
#: Most values (cells, members, items) in them: a few bytes of JSON may take hundreds in memory.
MAX_RESULTS_VALUES = 1_000_000
#: Characters of a name or a value that a message shows.
_SHOWN = 100

Row = dict[str, str | None]


class ResultsBroken(KnossosError):
    """The command ended well, but what it left as its results is missing or cannot be read."""

    code = "results_broken"


def parse_results(plan: ResultsPlan, stream: BinaryIO) -> Any:
    """The results in a stream: rows by column name for CSV, the document for JSON.

    Args:
        stream: read from where it is to its end; it stays open.
    Raises:
        ResultsBroken: with a text for the caller.
    """
    place = place_of(plan)
    data = stream.read(MAX_RESULTS_BYTES + 1)
    if len(data) > MAX_RESULTS_BYTES:
        raise ResultsBroken(f"{place}: expected at most {MAX_RESULTS_BYTES} bytes; leave more as an attachment")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ResultsBroken(f"{place}: expected UTF-8; byte {error.start + 1} is none") from error
    return _rows(place, text, plan.columns) if plan.format == "csv" else _document(place, text)


def place_of(plan: ResultsPlan) -> str:
    """How messages call the place where a runner's results are."""
    names = {"stdout": "standard output", "stderr": "standard error"}
    return f"the results in {names.get(plan.source, plan.path)}"


def missing_results(plan: ResultsPlan) -> ResultsBroken:
    """The error for results that the command has not left."""
    return ResultsBroken(f"{place_of(plan)}: the command has not made this file")


def linked_results(plan: ResultsPlan) -> ResultsBroken:
    """The error for results that are no plain file: a link, a folder, a pipe."""
    return ResultsBroken(f"{place_of(plan)}: expected a file, and no link or folder")


def cut_results(plan: ResultsPlan, output_bytes: int) -> ResultsBroken:
    """The error for results in a stream that had more in it than is kept, so that their end is not there."""
    return ResultsBroken(f"{place_of(plan)}: there is more output than the {output_bytes} bytes that are kept")


# --- CSV --------------------------------------------------------------------------------------------


def _rows(place: str, text: str, columns: Sequence[CsvColumn] | None) -> list[Row]:
    if text.count(",") + text.count("\n") > MAX_RESULTS_VALUES:
        raise _too_many(place)
    # strict: a quote that is never closed is an error, not a cell with the rest of the file in it.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(reader, [])
        take = _all_of(place, names) if columns is None else _selected(place, names, columns)
        rows, values = [], 0
        for cells in _cells(place, reader, len(names)):
            values += len(cells)
            if values > MAX_RESULTS_VALUES:
                raise _too_many(place)
            if (row := take(cells)) is not None:
                rows.append(row)
        return rows
    except csv.Error as error:
        raise ResultsBroken(f"{place}: line {reader.line_num}: {error}") from error


def _cells(place: str, reader: Any, width: int) -> Iterator[list[str | None]]:
    """The cells of each row that has some, as many as there are columns; None where a row is too short."""
    for cells in reader:
        if any(cells[width:]):
            raise ResultsBroken(f"{place}: line {reader.line_num} has {len(cells)} cells, the first line {width}")
        if cells:
            yield [*cells[:width], *[None] * (width - len(cells))]


def _all_of(place: str, names: Sequence[str]) -> Callable[[list[str | None]], Row]:
    twice = [name for name, count in Counter(names).items() if name and count > 1]
    if twice:
        raise ResultsBroken(f"{place}: there are two columns {twice[0][:_SHOWN]!r}")
    return lambda cells: dict(zip(names, cells, strict=True))


def _selected(
    place: str, names: Sequence[str], columns: Sequence[CsvColumn]
) -> Callable[[list[str | None]], Row | None]:
    wanted = []
    for column in columns:
        if column.input_name not in names:
            there = ", ".join(repr(name[:_SHOWN]) for name in names[:20]) or "none"
            raise ResultsBroken(f"{place}: there is no column {column.input_name!r}; there are: {there}")
        if names.count(column.input_name) > 1:
            raise ResultsBroken(f"{place}: there are two columns {column.input_name!r}")
        wanted.append((column.output_name, names.index(column.input_name), frozenset(column.skip_list)))

    def take(cells: list[str | None]) -> Row | None:
        row: Row = {}
        for name, number, skipped in wanted:
            cell = cells[number]
            if cell is None or cell in skipped:
                return None
            row[name] = cell
        return row

    return take


# --- JSON -------------------------------------------------------------------------------------------


def _document(place: str, text: str) -> Any:
    try:
        found = read_json(text, MAX_RESULTS_VALUES)
        # Only an escape can bring half of a character, which no other program could be given.
        if re.search(r"\\u[dD]", text):
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except UnicodeEncodeError as error:
        raise ResultsBroken(f"{place}: expected text; half of a character is in it") from error
    except ValueError as error:
        raise ResultsBroken(f"{place}: expected JSON: {error}") from error


def _too_many(place: str) -> ResultsBroken:
    return ResultsBroken(f"{place}: expected at most {MAX_RESULTS_VALUES} values; leave more as an attachment")
