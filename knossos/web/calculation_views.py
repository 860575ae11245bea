"""What the page of a calculation shows beside that of all runs: its state in the batch system, its input, its plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from markupsafe import Markup

from knossos.errors import NotFound
from knossos.jobs import JobRecord, JobState
from knossos.scripting.access import caller_of, may_see_calculations
from knossos.scripting.calculations.calculations import INPUT_NAME, Calculation
from knossos.scripting.calculations.plot import PlotSeries, Values, read_values
from knossos.scripting.calculations.states import CalculationState
from knossos.scripting.plan import FileRole
from knossos.scripting.run_records import Run
from knossos.web.authentication import current_session, task_token
from knossos.web.plot_scale import Point, thinned, written
from knossos.web.plots import Line, plot
from knossos.web.run_views import FileView, file_views
from knossos.web.services import services

#: Bytes of an input that its page shows, and rows of values.
SHOWN_INPUT_BYTES = 200_000
SHOWN_ROWS = 100
#: Columns by which the points of a line are thinned for the browser.
POINTS_COLUMNS = 1500
#: Last points of a line that are never thinned.
WHOLE_END = 200

#: What states of calculations are called on pages, and as which state of tasks they look.
STATE_NAMES = {
    CalculationState.QUEUED: "Waiting",
    CalculationState.RUNNING: "Running",
    CalculationState.FINISHED: "Done",
    CalculationState.FAILED: "Failed",
    CalculationState.CANCELLED: "Cancelled",
    CalculationState.UNKNOWN: "Unknown",
}
STATE_LOOKS = {**{state: str(state) for state in CalculationState}, CalculationState.FINISHED: str(JobState.SUCCEEDED)}


@dataclass(frozen=True)
class Chart:
    """A plot of the lines with one unit."""

    key: str
    unit: str
    labels: tuple[str, ...]
    #: Of the patterns, as browsers read them.
    sources: tuple[str, ...]
    lines: tuple[tuple[Point, ...], ...]

    @property
    def drawing(self) -> Markup:
        return plot(
            [Line(label, points) for label, points in zip(self.labels, self.lines, strict=True)], self.unit, self.key
        )

    @property
    def about(self) -> str:
        """For ``static/js/calculation.js``, as JSON."""
        return json.dumps({"labels": self.labels, "unit": self.unit, "sources": self.sources})

    @property
    def points(self) -> list[list[Point]]:
        """For browsers: of many only what the line needs, but of the last ones all."""
        return [thinned(line[:-WHOLE_END], POINTS_COLUMNS) + list(line[-WHOLE_END:]) for line in self.lines]

    @property
    def rows(self) -> list[tuple[int, list[str]]]:
        """The last values, by their numbers."""
        count = max(map(len, self.lines), default=0)
        first = max(0, count - SHOWN_ROWS)
        return [
            (row + 1, [written(line[row][1]) if row < len(line) else "" for line in self.lines])
            for row in range(first, count)
        ]


def about(run: Run, record: JobRecord | None) -> Mapping[str, Any]:
    """What ``calculations/calculation.html`` gets."""
    session = current_session()
    may = may_see_calculations(caller_of(None if session is None else session.account), services().settings)
    found = _calculation_of(run)
    files: list[FileView] = file_views([file for file in run.files if not _is_input(file.role, file.name)])
    names = {file.number: file.name for file in run.files if file.role is FileRole.WRITTEN}
    values = values_of(run, record)
    charts = charts_of(services().scripting.calculations.listed.series, values)
    return {
        "calculation": found,
        "sha1": sha1_of(run),
        "state_name": None if found is None else STATE_NAMES[found.state],
        "may_change": may and found is not None,
        "again_possible": found is not None and found.state in (CalculationState.FAILED, CalculationState.CANCELLED),
        "files": [FileView(file.number, names.get(file.number, file.name), file.kind, file.size) for file in files],
        "input": _input_of(run),
        "charts": charts,
        "points": json.dumps([chart.points for chart in charts]),
        "has_values": any(map(len, values.series)),
        "values_cut": values.cut,
        "in_batch": bool(services().settings.calculation_startcalc),
        # Whoever may do all that a key allows watches its task, too.
        "token": task_token() or (record.token if may and record is not None else ""),
    }


def sha1_of(run: Run) -> str:
    """The SHA-1 of its input, which is what its run shows as its argument."""
    return run.arguments[0] if run.arguments else ""


def values_of(run: Run, record: JobRecord | None) -> Values:
    """The numbers of its plot, also of one that has not ended."""
    calculations = services().scripting.calculations
    if run.outcome is not None:
        values = calculations.listed.values(run.file(FileRole.STDOUT))
        calculations.listed.note(run.run_id, values)
        return values
    return read_values(
        calculations.listed.series, [] if record is None else calculations.printed(record.ticket, FileRole.STDOUT)
    )


def charts_of(series: Sequence[PlotSeries], values: Values) -> list[Chart]:
    """The plots: lines with the same unit are in one, which are beside each other in CALCULATION_PLOT."""
    pairs = zip(series, values.series, strict=True)
    charts = []
    for number, (unit, group) in enumerate(groupby(pairs, key=lambda pair: pair[0].unit)):
        lines = list(group)
        charts.append(
            Chart(
                key=f"plot-{number}",
                unit=unit,
                labels=tuple(one.label for one, _ in lines),
                sources=tuple(one.pattern.source for one, _ in lines),
                lines=tuple(tuple(enumerate(found, 1)) for _, found in lines),
            )
        )
    return charts


def numbers_of(series: Sequence[PlotSeries], last: Sequence[float | None] | None) -> list[tuple[str, str]]:
    """The last numbers of a calculation for a list: label, and number with its unit."""
    if last is None:
        return []
    return [
        (one.label, f"{written(value)} {one.unit}".strip())
        for one, value in zip(series, last, strict=True)
        if value is not None
    ]


def _calculation_of(run: Run) -> Calculation | None:
    """None where it was deleted or is calculated by another run now."""
    try:
        found = services().scripting.calculations.get(sha1_of(run))
    except NotFound:
        return None
    return found if found.run_id == run.run_id else None


def _is_input(role: FileRole, name: str) -> bool:
    return role is FileRole.WRITTEN and name == INPUT_NAME


def _input_of(run: Run) -> str | None:
    """The beginning of its input as text; None where that is gone."""
    try:
        data = services().scripting.calculations.input(run.run_id, SHOWN_INPUT_BYTES + 1)
    except NotFound:
        return None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    text = data[:SHOWN_INPUT_BYTES].decode(encoding, "replace")
    return text + "\n\N{HORIZONTAL ELLIPSIS}" if len(data) > SHOWN_INPUT_BYTES else text
