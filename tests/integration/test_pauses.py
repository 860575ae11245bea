"""When the pause of a job counts as over."""

from __future__ import annotations

import json

import pytest

from knossos.jobs import Engine, pauses

NOW = 1_000_000


@pytest.mark.parametrize(
    ("at", "over"),
    # It began within the second that RQ cuts to NOW: not too far ahead. Where it is further, no pause is that long.
    [(NOW, True), (NOW + 1, False), (NOW + 10.9, False), (NOW + 11.1, True)],
)
def test_a_pause_is_over_when_its_time_has_come_or_is_further_ahead_than_it_may_be(
    engine: Engine, at: float, over: bool
) -> None:
    queue = engine.queue("default")
    engine.redis.hset("rq:job:7", "retry_intervals", json.dumps([4, 10]))
    engine.redis.zadd(queue.scheduled_job_registry.key, {"7": at})
    assert pauses.over(queue, NOW) == (["7"] if over else [])
