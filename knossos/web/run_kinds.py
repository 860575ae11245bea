"""What the page of a run shows besides, by what kind of run it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from knossos.jobs import JobRecord
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import Run
from knossos.web import calculation_views
from knossos.web.job_views import about_home_run


def _nothing(run: Run, record: JobRecord | None) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class KindOfPage:
    """``template`` extends scripts/run.html, and gets what ``about`` says of a run, beside what all runs' pages get."""

    template: str = "scripts/run.html"
    #: The blueprint to whose area of the menu it belongs.
    area: str = "run_pages"
    about: Callable[[Run, JobRecord | None], Mapping[str, Any]] = _nothing


_KINDS: dict[RunKind, KindOfPage] = {
    RunKind.HOME: KindOfPage("homes/job.html", "job_pages", about_home_run),
    RunKind.CALCULATION: KindOfPage("calculations/calculation.html", "calculation_pages", calculation_views.about),
}


def kind_of(run: Run) -> KindOfPage:
    return _KINDS.get(run.kind, KindOfPage())
