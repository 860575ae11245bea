"""When schedules are due: cron expressions in time zones, changes of clocks, what was missed. Now is always told."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from knossos.scripting.schedules.deciding import decide
from knossos.scripting.schedules.states import FiringState
from knossos.scripting.schedules.when import (
    BadTime,
    When,
    next_after,
    next_times,
    read_cron,
    read_time,
    shortest_pause,
    zone_of,
)
from knossos.scripting.schedules.words import in_words

BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def utc(moments: list[float]) -> list[str]:
    return [datetime.fromtimestamp(one, UTC).strftime("%m-%d %H:%M") for one in moments]


def test_an_expression_is_meant_in_its_zone_summer_and_winter() -> None:
    daily = When(cron="30 6 * * *", zone=BERLIN)
    assert utc(next_times(daily, at("2026-01-10T12:00"), 2)) == ["01-11 05:30", "01-12 05:30"]
    assert utc(next_times(daily, at("2026-07-10T12:00"), 1)) == ["07-11 04:30"]


def test_a_local_time_that_is_left_out_comes_once_and_an_hour_later() -> None:
    gap = When(cron="30 2 * * *", zone=BERLIN)  # clocks go from 02:00 to 03:00 on 29 March 2026
    assert utc(next_times(gap, at("2026-03-28T12:00"), 3)) == ["03-29 01:30", "03-30 00:30", "03-31 00:30"]
    both = When(cron="30 2,3 * * *", zone=BERLIN)
    assert utc(next_times(both, at("2026-03-28T12:00"), 3)) == ["03-29 01:30", "03-30 00:30", "03-30 01:30"]


def test_a_local_time_that_there_is_twice_comes_once_the_first_time() -> None:
    fold = When(cron="30 2 * * *", zone=BERLIN)  # clocks go from 03:00 back to 02:00 on 25 October 2026
    assert utc(next_times(fold, at("2026-10-24T12:00"), 2)) == ["10-25 00:30", "10-26 01:30"]
    between = at("2026-10-25T01:10")  # 02:10 for the second time
    assert utc(next_times(fold, between, 1)) == ["10-26 01:30"]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_times_only_go_forward_through_a_whole_year(zone: str) -> None:
    when = When(cron="*/15 * * * *", zone=zone)
    found = next_times(when, at("2026-01-01T00:00"), 24 * 4 * 366)
    assert all(later > earlier for earlier, later in pairwise(found))
    local = [datetime.fromtimestamp(one, ZoneInfo(zone)).replace(tzinfo=None) for one in found]
    assert len(set(local)) == len(local)


def test_a_time_without_an_offset_is_local() -> None:
    assert read_time("2026-07-01T06:30", BERLIN) == at("2026-07-01T04:30")
    assert read_time("2026-07-01T06:30+00:00", BERLIN) == at("2026-07-01T06:30")
    assert read_time("2026-03-29T02:30", BERLIN) == at("2026-03-29T01:30")


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59-12:00", "9999-12-31T23:59", "0001-01-01T00:00", "1960-01-01", "inf"]
)
def test_a_time_that_not_every_zone_can_show_is_refused(text: str) -> None:
    with pytest.raises(BadTime) as caught:
        read_time(text, "America/New_York")
    assert [one["path"] for one in caught.value.errors] == ["at"]


@pytest.mark.parametrize(
    "text", ["", "x", "* * * *", "* * * * * *", "60 * * * *", "H * * * *", "R * * * *", "*/0 * * * *", "@every 5m",
             "* * * * mom", "1 2 3 4 5 6 7", "0 0 * * \N{DIGIT ZERO}\N{ARABIC-INDIC DIGIT FIVE}"],
)  # fmt: skip
def test_what_is_no_expression_of_five_fields_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(BadTime) as caught:
        read_cron(text)
    assert [one["path"] for one in caught.value.errors] == ["cron"]


@pytest.mark.parametrize("name", ["Mars/Base", "../etc/passwd", "", "localtime", "europe\0"])
def test_zones_are_those_that_have_a_name(name: str) -> None:
    with pytest.raises(BadTime) as caught:
        zone_of(name)
    assert [one["path"] for one in caught.value.errors] == ["zone"]


def test_the_shortest_pause_is_found_behind_long_ones() -> None:
    now = at("2026-01-01T00:00")
    assert shortest_pause(When(cron="0,59 * * * *"), now) == 60
    assert shortest_pause(When(cron="@daily".replace("@daily", read_cron("@daily"))), now) == 86400
    assert shortest_pause(When(cron="59 23,0 1 1 *"), now) == 23 * 3600
    assert next_after(When(cron="0 0 30 2 *"), now) is None
    assert utc(next_times(When(cron="0 0 29 2 *"), now, 1)) == ["02-29 00:00"]


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("* * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("7 * * * *", "Every hour at minute 7"),
        ("0 */6 * * *", "Every 6 hours at minute 0"),
        ("30 6 * * *", "Every day at 06:30"),
        ("0 8,17 * * 1-5", "Monday to Friday at 08:00 and 17:00"),
        ("0 8 * * sun,mon", "Every Monday and Sunday at 08:00"),
        ("0 8 * * 5-7", "Every Friday, Saturday and Sunday at 08:00"),
        ("0 3 1 * *", "On day 1 of every month at 03:00"),
        ("0 3 24 12 *", "Every year on 24 December at 03:00"),
        ("*/10 * * * 1", "Every Monday: every 10 minutes"),
        ("1-9 3 L * *", "By cron: 1-9 3 L * *"),
    ],
)
def test_expressions_are_said_in_words(cron: str, words: str) -> None:
    assert in_words(When(cron=read_cron(cron))) == words


HOURLY = When(cron="0 * * * *")


def test_a_time_that_is_due_is_run_and_the_next_one_is_the_next() -> None:
    due = at("2026-01-01T10:00")
    found = decide(HOURLY, due, due + 3, 600, goes_on=False)
    assert (found.state, found.text, found.due_at, found.next_at, found.stopped) == (
        *(FiringState.CLAIMED, "", due, due + 3600), "",
    )  # fmt: skip


def test_times_that_nobody_saw_are_run_once_and_late() -> None:
    due, now = at("2026-01-01T10:00"), at("2026-01-03T15:05")
    found = decide(HOURLY, due, now, 600, goes_on=False)
    assert found.state is FiringState.CLAIMED
    assert utc([found.due_at, found.next_at or 0]) == ["01-03 15:00", "01-03 16:00"]
    assert "5 minutes late" in found.text
    assert "not made up for" in found.text


def test_what_is_later_than_the_time_of_grace_is_missed_and_said() -> None:
    due, now = at("2026-01-01T10:00"), at("2026-01-01T10:40")
    found = decide(HOURLY, due, now, 600, goes_on=False)
    assert (found.state, found.next_at) == (FiringState.MISSED, at("2026-01-01T11:00"))
    assert "40 minutes later" in found.text
    once = decide(When(at=due), due, now, 600, goes_on=False)
    assert (once.state, once.next_at, once.stopped) == (FiringState.MISSED, None, "It has had its time.")


def test_a_run_that_goes_on_has_the_next_time_skipped() -> None:
    due = at("2026-01-01T10:00")
    found = decide(HOURLY, due, due, 600, goes_on=True)
    assert (found.state, found.next_at) == (FiringState.SKIPPED, due + 3600)


def test_a_clock_that_was_set_back_makes_no_time_come_twice() -> None:
    due = at("2026-01-01T10:00")
    found = decide(HOURLY, due, due + 1, 600, goes_on=False)
    assert found.next_at is not None
    assert found.next_at > due  # and until then nothing is due, whatever the clock says meanwhile
