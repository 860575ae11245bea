"""Limits and the clock."""

from __future__ import annotations

import pytest

from knossos.packaging.archives import EntryBudget, Limits
from knossos.packaging.archives.errors import ArchiveTimeout, ArchiveTooBig, printable
from knossos.packaging.archives.limits import NAME_CHARACTERS, RATIO_FLOOR_BYTES, Clock
from knossos.packaging.reporting import Reporter
from knossos.settings import Settings
from tests.support.reporter import RecordingReporter


def test_the_limits_are_the_settings() -> None:
    settings = Settings(
        archive_max_bytes=1,
        archive_max_entries=2,
        archive_max_ratio=3,
        archive_timeout_seconds=4,
        archive_stall_seconds=5,
    )
    assert Limits.from_settings(settings) == Limits(1, 2, 3, 4, 5)


def test_a_small_archive_may_compress_as_well_as_it_likes() -> None:
    limits = Limits(max_ratio=2)
    limits.check_bytes(RATIO_FLOOR_BYTES, 100, "a")
    with pytest.raises(ArchiveTooBig) as caught:
        limits.check_bytes(RATIO_FLOOR_BYTES + 1, 100, "a")
    assert caught.value.limit == "ratio"


def test_many_archives_share_what_one_may_hold() -> None:
    budget = EntryBudget()
    first, second = (budget.limits_for_one(Limits(max_entries=10)) for _ in range(2))
    for count in range(1, 7):
        first.check_entries(count, "a")
    first.check_entries(3, "a")  # read a second time
    second.check_entries(4, "b")
    with pytest.raises(ArchiveTooBig, match="b and the other archives have more than 10 entries together"):
        second.check_entries(5, "b")


def test_names_that_are_far_too_long_together_are_refused() -> None:
    limits = Limits(max_entries=10)
    limits.check_entries(1, "a", 10 * NAME_CHARACTERS)
    with pytest.raises(ArchiveTooBig, match="The names in a are longer"):
        limits.check_entries(1, "a", 10 * NAME_CHARACTERS + 1)


def test_the_clock_ends_the_reading_when_its_time_is_up() -> None:
    clock = Clock(Limits(seconds=10), "a.7z")
    clock.tick()
    clock.started -= 11
    clock.tick()  # it was looked at a moment ago
    clock._checked = 0
    with pytest.raises(ArchiveTimeout):
        clock.tick()


def test_the_clock_asks_whether_the_work_is_wanted_but_not_all_the_time() -> None:
    asked: list[int] = []
    clock = Clock(Limits(), "a.7z", lambda: asked.append(1))
    for _ in range(1000):
        clock.tick()
    assert len(asked) < 100


def test_names_in_messages_are_safe_to_print() -> None:
    assert printable("a\x1b[31mb\n\udcff") == "a\\x1b[31mb\\n\\udcff"
    assert len(printable("x" * 10_000)) == 200


def test_the_recording_reporter_is_a_reporter() -> None:
    reporter: Reporter = RecordingReporter()
    reporter.info("x")
    reporter.check()
