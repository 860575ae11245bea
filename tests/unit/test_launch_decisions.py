"""What the supervisor decides: when to start a child again, and when to give up."""

from __future__ import annotations

import pytest

from knossos.launch.processes import CRASH_LIMIT, CRASH_WINDOW_SECONDS, FIRST_PAUSE, LONGEST_PAUSE, restart_pause


def test_the_first_crash_is_mended_almost_at_once_and_later_ones_after_longer_pauses() -> None:
    pauses = [restart_pause([100.0] * count, 100.0) for count in range(1, CRASH_LIMIT)]
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses, key=float)  # type: ignore[arg-type]
    assert all(pause is not None and pause <= LONGEST_PAUSE for pause in pauses)


def test_a_child_that_crashes_again_and_again_is_given_up() -> None:
    assert restart_pause([100.0 + number for number in range(CRASH_LIMIT)], 110.0) is None


@pytest.mark.parametrize("count", [1, 50])
def test_crashes_of_long_ago_do_not_count(count: int) -> None:
    old = [float(number) for number in range(count)]
    now = old[-1] + CRASH_WINDOW_SECONDS + 1
    assert restart_pause([*old, now], now) == FIRST_PAUSE
