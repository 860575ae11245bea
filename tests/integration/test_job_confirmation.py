"""A job that asks whether it is still its own before it writes an outcome elsewhere."""

from __future__ import annotations

import pytest

from knossos.jobs import Engine, JobSpec, JobSuperseded, keys
from knossos.jobs.context import JobContext


@pytest.mark.parametrize(
    ("fence", "state", "held"),
    [("mine", "running", True), ("mine", "failed", False), ("other", "running", False), ("", "queued", False)],
)
def test_only_who_still_holds_a_running_job_may_write_its_outcome(
    engine: Engine, fence: str, state: str, held: bool
) -> None:
    record = engine.submit(JobSpec(function="tests.support.jobs.echo", kind="test", title="", owner="o"))
    engine.redis.hset(keys.task(record.ticket), mapping={"fence": fence, "state": state})
    context = JobContext(engine, record.ticket, "mine", 1, 1)
    try:
        if held:
            context.confirm()
        else:
            with pytest.raises(JobSuperseded):
                context.confirm()
    finally:
        context.close()
