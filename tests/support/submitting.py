"""Submitting the jobs of `tests.support.jobs`, and looking at what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from knossos.jobs import Engine, Event, JobRecord, JobSpec
from tests.support.processes import wait_for


def spec(function: str, owner: str = "key:a", retries: int | None = None, **payload: Any) -> JobSpec:
    return JobSpec(
        function=f"tests.support.jobs.{function}", kind="test", title="A", owner=owner, payload=payload, retries=retries
    )


def ended(engine: Engine, ticket: int) -> JobRecord:
    def look() -> JobRecord | None:
        record = engine.find(ticket)
        return record if record.state.finished else None

    return wait_for(look, f"the end of task {ticket}")


def texts(engine: Engine, ticket: int) -> list[str]:
    return [event.data["text"] for event in engine.events(ticket) if event.type == "log"]


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def begun(engine: Engine, ticket: int, text: str = "attempt 1 began") -> None:
    wait_for(lambda: text in texts(engine, ticket), f"task {ticket} to say {text!r}")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
