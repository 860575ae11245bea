"""The clock that workers share: Redis's, counted on by the monotonic one, which tells when Redis's has jumped."""

from __future__ import annotations

from typing import Any

import pytest

from knossos.jobs import shared_clock


class Machine:
    """A Redis and a machine, each with its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.redis, self.monotonic = 1_000_000.5, 50.0
        for name in ("_ahead", "_same_since"):  # restored afterwards
            monkeypatch.setattr(shared_clock, name, getattr(shared_clock, name))
        monkeypatch.setattr(shared_clock, "_same_since", None)
        monkeypatch.setattr(shared_clock.time, "monotonic", lambda: self.monotonic)

    def time(self) -> tuple[int, int]:
        return int(self.redis), round(self.redis % 1 * 1e6)

    def pass_seconds(self, seconds: float) -> None:
        self.redis += seconds
        self.monotonic += seconds

    def look(self) -> None:
        connection: Any = self
        shared_clock.follow(connection)


def test_the_time_is_that_of_redis_and_goes_on_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.look()
    machine.pass_seconds(7)
    assert shared_clock.timestamp() == 1_000_007
    assert shared_clock.now().timestamp() == pytest.approx(1_000_007.5)


def test_it_is_settled_when_it_was_seen_for_long_enough_and_not_after_a_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    assert not shared_clock.settled(5)
    machine.look()
    assert not shared_clock.settled(5)
    for _ in range(3):
        machine.pass_seconds(4)
        machine.redis += 0.3  # an answer that took its time
        machine.look()
    assert shared_clock.settled(5)
    for jump in (3600, -3600):
        machine.redis += jump
        machine.look()
        assert not shared_clock.settled(5)
        machine.pass_seconds(6)
        machine.look()
        assert shared_clock.settled(5)
