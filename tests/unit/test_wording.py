"""Numbers, sizes and times on the pages."""

from __future__ import annotations

import pytest

from knossos.web.wording import counted, date_of, day, duration, iso, moment, number, size


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (412_300_000, "412 MB"), (999_500, "1.00 MB")],
)
def test_sizes_have_three_digits(value: int, text: str) -> None:
    assert size(value) == text


def test_days_and_counts() -> None:
    assert day("2026-11-02") == "2 Nov 2026"
    assert (day(None), day("someday")) == ("", "someday")
    assert (counted(1, "mod"), counted(1200, "mod")) == ("1 mod", "1,200 mods")
    assert number(1234567) == "1,234,567"


def test_durations_are_said_as_the_scripts_of_pages_say_them() -> None:
    said = [duration(seconds) for seconds in (None, 0.4, 59.4, 61, 3599, 7260)]
    assert said == ["", "under 1 s", "59 s", "1 min 01 s", "59 min 59 s", "2 h 01 min"]


def test_times_say_that_they_are_of_no_place() -> None:
    assert moment(1_790_000_000.9) == "21 Sep 2026, 14:13 UTC"
    assert date_of(1_790_000_000.9) == "21 Sep 2026"
    assert iso(1_790_000_000.9) == "2026-09-21T14:13:20Z"
