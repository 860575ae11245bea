"""``/api/runs/{run_id}``: a run of a script, as the pages see it."""

from __future__ import annotations

from typing import Any

from knossos.jobs import JobState
from knossos.scripting.plan import FileRole, RunOutcome
from knossos.web.openapi.parts import (
    OPTIONAL_ACCOUNT,
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

TAG = "Runs"
ABOUT = "What has become of a script that was called. Whoever has its task's token, its owner and operators may see it."


def schemas() -> dict[str, Any]:
    kept = obj(kind=choice(FileRole), name=text(), size=whole("Bytes."), url=text())
    return {
        "Run": obj(
            "A run of a script or a runner.",
            id=text(),
            ticket=or_null(whole("Its task.")),
            name=text(example="tables/clean.py"),
            state=choice(JobState),
            outcome=or_null(choice(RunOutcome, "How it ended; null while it has not.")),
            exit_code=or_null(whole()),
            signal=or_null(whole("The signal that ended it.")),
            error=text("Why it could not be run, or was stopped."),
            dropped_bytes=whole("Bytes of output that were too many to keep."),
            output=choice(["text", "html"], "What its standard output is."),
            files=many(kept),
            page=text("Its page."),
            html=text("Standard output as a page, where it is one."),
            events=or_null(text("Where its task's events are, while there is one.")),
            socket=or_null(text("The WebSocket that tells them.")),
        )
    }


def paths() -> Paths:
    return {
        "/api/runs/{run_id}": {
            "get": operation(
                "One run",
                "A token needs the right `run`, or `scripts` for a script that somebody sent.",
                parameters=[
                    path("run_id", text(example="0b0c5a52-6f5c-4c4c-9a53-0d4b4f0f1a11")),
                    query("token", text(), "The token of its task."),
                ],
                answers={200: answer("The run.", ref("Run")), **errors(400, 401, 403, 404)},
                security=OPTIONAL_ACCOUNT,
            )
        }
    }
