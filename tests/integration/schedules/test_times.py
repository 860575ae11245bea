"""Times that are skipped, missed or kept, and clocks and zones that go wrong."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select, update

from knossos.accounts import Account
from knossos.scripting.notices.states import NoticeEvent, NoticeState
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.scripting.schedules.schedules import as_firing
from knossos.scripting.schedules.states import FiringState, StillRunning
from knossos.scripting.schedules.tables import FiringRow, ScheduleRow
from knossos.scripting.schedules.ticker import Ticker
from knossos.scripting.schedules.words import local_time
from tests.support.schedule_firing import HOOK, notices
from tests.support.schedules import ScheduleBench


def test_the_time_after_a_run_that_goes_on_is_skipped_and_the_one_after_its_end_is_not(
    bench: ScheduleBench, dora: Account
) -> None:
    schedule, now = bench.make(dora), time.time()
    for number in range(3):
        bench.due(schedule, now + number)
        bench.made.firings.fire_due(now + number)
        if number == 1:
            run = bench.runs()[0]
            bench.made.firings._runs.end(run.id, Ending(RunOutcome.EXITED, 0), ())
    states = [one.state for one in bench.firings(schedule)]
    assert states == [FiringState.STARTED, FiringState.SKIPPED, FiringState.STARTED]
    first = bench.firings(schedule)[0]
    assert (first.outcome, first.exit_code, first.ended_well) == (RunOutcome.EXITED, 0, True)
    with pytest.raises(StillRunning):
        bench.made.firings.run_now(dora, schedule.schedule_id)


def test_a_run_whose_worker_was_lost_does_not_go_on_for_ever(bench: ScheduleBench, dora: Account) -> None:
    schedule, now = bench.make(dora, notices=HOOK), time.time()
    bench.due(schedule, now)
    bench.made.firings.fire_due(now)
    ticket = bench.runs()[0].ticket
    assert ticket is not None
    bench.engine.cancel(ticket, "Gone.")
    assert bench.made.sweeper.settle_runs(now) == 1
    assert bench.firings(schedule)[0].outcome is RunOutcome.CANCELLED
    (told,) = notices(bench, NoticeState.DUE)
    assert told.ticket is not None
    assert bench.engine.find(told.ticket).kind == "notice"


def test_what_was_missed_for_too_long_is_told_and_not_run(bench: ScheduleBench, dora: Account) -> None:
    schedule = bench.make(dora, at="2030-01-01T00:00:00Z", cron=None, notices=HOOK)
    due = schedule.next_at
    assert due is not None
    bench.made.firings.fire_due(due + bench.settings.schedule_grace_seconds + 100)
    (firing,) = bench.firings(schedule)
    assert (firing.state, bench.runs()) == (FiringState.MISSED, [])
    after = bench.made.schedules.get(dora, schedule.schedule_id)
    assert (after.next_at, after.stopped) == (None, "It has had its time.")
    (told,) = notices(bench, NoticeState.DUE)
    assert (told.event, told.text) == (NoticeEvent.NOT_RUN, firing.text)


def test_old_times_go_and_the_newest_stay(bench: ScheduleBench, dora: Account) -> None:
    schedule = bench.make(dora)
    with bench.database.session() as session:
        for number in range(205):
            session.add(
                FiringRow(id=f"f{number}", schedule_id=schedule.schedule_id, due_at=number, claimed_at=number,
                          by_hand=False, state=FiringState.STARTED, text="", run_id=f"r{number}", outcome="exited")
            )  # fmt: skip
    assert bench.made.schedules.purge(time.time()) == 5
    with bench.database.reading() as session:
        kept = [as_firing(row).due_at for row in session.scalars(select(FiringRow).order_by(FiringRow.due_at))]
    assert (kept[0], len(kept)) == (5, 200)


def test_a_schedule_whose_zone_is_gone_stops_itself_and_keeps_no_other_from_its_time(
    bench: ScheduleBench, dora: Account
) -> None:
    broken, well, now = bench.make(dora, notices=HOOK), bench.make(dora), time.time()
    with bench.database.session() as session:
        session.execute(update(ScheduleRow).where(ScheduleRow.id == broken.schedule_id).values(zone="Gone/Zone"))
    bench.due(broken, now - 2)
    bench.due(well, now - 1)
    assert bench.made.firings.fire_due(now) == 1
    assert [one.state for one in bench.firings(well)] == [FiringState.STARTED]
    stopped = bench.made.schedules.get(dora, broken.schedule_id)
    assert (stopped.is_on, "Gone/Zone" in stopped.stopped) == (False, True)
    assert [one.event for one in notices(bench, NoticeState.DUE)] == [NoticeEvent.STOPPED]
    assert local_time(now, stopped.when.zone).endswith("UTC")


def test_a_clock_that_was_years_ahead_for_a_moment_makes_nothing_wait_for_years(
    bench: ScheduleBench, dora: Account
) -> None:
    schedule, now = bench.make(dora, notices=HOOK), time.time()
    due, years = schedule.next_at, now + 10 * 365 * 86400
    assert due is not None
    ticker = Ticker(bench.made.firings, bench.made.sweeper)
    ticker.turn(now, 0)
    ticker.turn(years, 5)
    (run,) = bench.runs()
    bench.made.firings._runs.end(run.id, Ending(RunOutcome.EXITED, 0), ())
    assert (bench.made.schedules.get(dora, schedule.schedule_id).next_at or 0) > years
    ticker.turn(now + 10, 10)
    assert bench.made.schedules.get(dora, schedule.schedule_id).next_at == due
    # Who starts only afterwards sees it as well, and nothing that was decided on comes once more.
    soon = due + 3600 * 3 + 5
    assert bench.made.firings.fire_due(soon) == 1
    for run in bench.runs():
        bench.made.firings._runs.end(run.id, Ending(RunOutcome.EXITED, 0), ())
    Ticker(bench.made.firings, bench.made.sweeper).turn(now + 20, 20)
    again = bench.made.schedules.get(dora, schedule.schedule_id).next_at
    decided = {one.due_at for one in bench.firings(schedule)}
    assert again is not None
    assert again not in decided
    assert again < soon
