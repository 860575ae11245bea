"""``/api/runs/...``: runs of scripts and runners, as the pages and forms see them."""

from __future__ import annotations

from typing import Any

from knossos.jobs import JobState
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.web.openapi.parts import (
    SESSION,
    Paths,
    answer,
    choice,
    errors,
    many,
    obj,
    operation,
    or_null,
    path,
    query,
    ref,
    text,
    whole,
)

TAG = "Runs of scripts"
ABOUT = (
    "What came of a call, whoever called by whichever protocol. Whoever has the token of its task, its owner and "
    "operators may see a run; for everyone else it is not there."
)


def schemas() -> dict[str, Any]:
    file = obj(kind=choice(FileRole), name=text(), size=whole("Bytes."), url=text("Its address, a download."))
    run = obj(
        "A run.",
        id=text(example="5fc3a5bf-971b-40db-af22-303006d9bcff"),
        ticket=or_null(whole("The number of its task.")),
        name=text("What was called.", example="handle_csv.py"),
        state=choice(JobState),
        outcome=or_null(choice(RunOutcome, "null while it has not ended.")),
        exit_code=or_null(whole()),
        signal=or_null(whole("Of what ended it.")),
        error=text("Why it did not end well."),
        dropped_bytes=whole("Of its output, where that was too long."),
        output=choice(("text", "html"), "What its standard output is."),
        files=many(file),
        page=text("Its page."),
        html=text("Standard output as a page that can do nothing, where it is HTML."),
        events=or_null(text("Where its events are asked for; null where they are gone.")),
        socket=or_null(text("Where its events are sent.")),
    )
    return {"Run": run}


def paths() -> Paths:
    which = [path("run_id", text(), "The id of the run."), query("token", text(), "The token of its task.")]
    return {
        "/api/runs/{run_id}": {
            "get": operation(
                "One run",
                parameters=which,
                answers={200: answer("The run.", ref("Run")), **errors(404)},
                security=SESSION,
            )
        }
    }
