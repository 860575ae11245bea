"""Schedules that are due run once for each time, whoever looks and whoever is killed meanwhile."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import select, update

from knossos.accounts import Account
from knossos.scripting.notices.states import NoticeState
from knossos.scripting.schedules.states import FiringState
from knossos.scripting.schedules.sweeping import LEFT_SECONDS
from knossos.scripting.schedules.tables import FiringRow, ScheduleRow
from knossos.scripting.schedules.ticker import LOOK_SECONDS, Ticker
from tests.support.processes import Process, write_settings
from tests.support.schedule_firing import HOOK, at_once, notices
from tests.support.schedules import ScheduleBench


def test_a_schedule_that_is_due_is_run_once_however_many_look(bench: ScheduleBench, dora: Account) -> None:
    schedule, now = bench.make(dora, arguments=["a b", "--x=1"]), time.time()
    bench.due(schedule, now - 1)
    at_once(bench, 4, lambda one: one.made.firings.fire_due(now))
    (firing,) = bench.firings(schedule)
    (run,) = bench.runs()
    assert (firing.state, firing.run_id) == (FiringState.STARTED, run.id)
    assert (run.owner, run.arguments) == ("account:dora", '["a b", "--x=1"]')
    assert len(bench.engine.list_jobs()) == 1
    after = bench.made.schedules.get(dora, schedule.schedule_id)
    assert after.next_at is not None
    assert after.next_at > now
    assert bench.made.firings.fire_due(now) == 0


def test_who_was_killed_after_the_claim_leaves_a_run_that_another_one_starts(
    bench: ScheduleBench, dora: Account
) -> None:
    schedule, now = bench.make(dora, notices=HOOK), time.time()
    bench.due(schedule, now)
    killed = bench.made.firings.claim(schedule.schedule_id, now, now)
    assert killed is not None
    assert bench.runs() == []
    assert bench.made.sweeper.finish_claims(now + LEFT_SECONDS - 1) == 0
    assert bench.made.sweeper.finish_claims(now + LEFT_SECONDS + 1) == 1
    (firing,) = bench.firings(schedule)
    (run,) = bench.runs()
    assert (firing.state, firing.run_id) == (FiringState.STARTED, run.id)
    assert run.id != killed.run_id
    assert [one.run_id for one in notices(bench, NoticeState.WAITING)] == [run.id]
    # It was not killed after all, only slow: it is too late.
    assert bench.made.firings.start(killed, now) is None
    assert [one.id for one in bench.runs()] == [run.id]
    assert len(bench.engine.list_jobs()) == 1


def test_who_was_killed_between_the_row_of_a_run_and_its_job_leaves_no_second_run(
    bench: ScheduleBench, dora: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, now = bench.make(dora), time.time()
    bench.due(schedule, now)
    killed = bench.made.firings.claim(schedule.schedule_id, now, now)
    assert killed is not None

    class Killed(BaseException):
        """No handler sees it, as none would see a SIGKILL."""

    def die(*_: Any, **__: Any) -> None:
        raise Killed

    slow = bench.another()
    runs: Any = slow.made.firings._runs
    monkeypatch.setattr(runs, "_delete", lambda run_id: None)
    monkeypatch.setattr(runs._engine, "submit", die)
    with pytest.raises(Killed):
        slow.made.firings.start(killed, now)
    slow.database.close()
    assert [one.ticket for one in bench.runs()] == [None]
    assert bench.made.sweeper.finish_claims(now + LEFT_SECONDS + 1) == 1
    (run,) = bench.runs()
    assert run.id == bench.firings(schedule)[0].run_id != killed.run_id
    assert run.ticket is not None


def test_a_run_that_was_accepted_and_not_noted_is_not_started_again(bench: ScheduleBench, dora: Account) -> None:
    schedule, now = bench.make(dora), time.time()
    bench.due(schedule, now)
    bench.made.firings.fire_due(now)
    with bench.database.session() as session:
        session.execute(update(FiringRow).values(state=FiringState.CLAIMED))
    assert bench.made.sweeper.finish_claims(now + LEFT_SECONDS + 1) == 0
    assert bench.firings(schedule)[0].state is FiringState.STARTED
    assert len(bench.runs()) == 1


def test_while_redis_is_away_the_time_is_kept(
    bench: ScheduleBench, dora: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule, now = bench.make(dora), time.time()
    bench.due(schedule, now)
    other = bench.another()

    def away(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(other.made.firings._runs._engine, "submit", away)
    assert other.made.firings.fire_due(now) == 1
    other.database.close()
    assert (bench.firings(schedule)[0].state, bench.runs()) == (FiringState.CLAIMED, [])
    bench.made.sweeper.finish_claims(now + LEFT_SECONDS + 1)
    assert bench.firings(schedule)[0].state is FiringState.STARTED


def test_the_ticker_sleeps_until_something_is_due_and_bears_a_database_that_is_away(
    bench: ScheduleBench, dora: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker, now = Ticker(bench.made.firings, bench.made.sweeper), time.time()
    assert ticker.turn(now, 0) == LOOK_SECONDS
    schedule = bench.make(dora)
    bench.due(schedule, now + 2)
    assert ticker.turn(now, 1) == pytest.approx(2)
    assert ticker.turn(now + 2, 3) == LOOK_SECONDS
    assert len(bench.firings(schedule)) == 1

    def away(_: float) -> int:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(bench.made.firings, "fire_due", away)
    assert ticker.turn(now, 5) > LOOK_SECONDS


def test_many_that_are_due_at_once_are_claimed_some_at_a_time_and_too_many_runs_are_told(
    bench: ScheduleBench, dora: Account
) -> None:
    count, most = 120, bench.settings.script_owner_runs
    first, now = bench.make(dora, notices=HOOK), time.time()
    with bench.database.session() as session:
        row = session.get_one(ScheduleRow, first.schedule_id)
        known = {column.key: getattr(row, column.key) for column in ScheduleRow.__table__.columns}
        row.next_at = now
        session.add_all(ScheduleRow(**{**known, "id": f"many-{n}", "next_at": now}) for n in range(count - 1))
    assert [bench.made.firings.fire_due(now) for _ in range(4)] == [50, 50, 20, 0]
    with bench.database.reading() as session:
        rows = list(session.scalars(select(FiringRow)))
    started = [row for row in rows if row.state == FiringState.STARTED]
    refused = [row for row in rows if row.state == FiringState.REFUSED]
    assert (len(started), len(refused)) == (min(most, count), count - min(most, count))
    assert len(bench.runs()) == len(started)
    assert all("runs are queued or running already" in row.text for row in refused)
    assert len(notices(bench, NoticeState.DUE)) == len(refused)
    assert bench.made.schedules.get(dora, first.schedule_id).is_on


#: What a process does that looks once, and is killed where the name says.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from knossos.database import Database
from knossos.homes.scheduling import made_of
from knossos.jobs import Engine
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.scripting.runs import Runs
from knossos.settings_file import load_settings

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

settings = load_settings()
made = made_of(settings, Database(settings), Engine(settings))
stage, now = sys.argv[1], float(sys.argv[2])
if stage == "claimed":
    made.firings.start = die
elif stage == "accepted":
    Engine.submit = die
elif stage == "submitted":
    submit = Engine.submit
    Engine.submit = lambda *a, **k: (submit(*a, **k), die())
elif stage == "noted":
    start = made.firings.start
    made.firings.start = lambda *a: (start(*a), die())
elif stage in ("ended", "told"):
    submit = Engine.submit
    made.firings.fire_due(now)
    # The notice is due with the end; its job is not made, or is made and nobody has noted which.
    Engine.submit = die if stage == "ended" else lambda *a, **k: (submit(*a, **k), die())
    (run,) = sys.argv[3:] or [r.run_id for r in made.firings._runs.history(None, None, 5)]
    made.firings._runs.end(run, Ending(RunOutcome.EXITED, 3), ())
made.firings.fire_due(now)
"""


@pytest.mark.parametrize("stage", ["claimed", "accepted", "submitted", "noted", "ended", "told"])
def test_whoever_is_killed_at_any_stage_nothing_is_lost_and_nothing_is_run_twice(
    bench: ScheduleBench, dora: Account, tmp_path: Path, stage: str
) -> None:
    schedule, now = bench.make(dora, notices=HOOK), time.time()
    bench.due(schedule, now)
    file = write_settings(tmp_path / "settings.py", bench.settings)
    process = Process(["-c", KILLED, stage, repr(now)], tmp_path / "log", {"KNOSSOS_SETTINGS": str(file)})
    assert process.popen.wait(60) == -signal.SIGKILL, process.log
    later = time.time() + LEFT_SECONDS + 5
    at_once(bench, 2, lambda one: one.made.sweeper.sweep(later))
    (firing,) = bench.firings(schedule)
    (run,) = bench.runs()
    assert (firing.state, firing.run_id) == (FiringState.STARTED, run.id)
    jobs = [job for job in bench.engine.list_jobs() if job.kind == "script"]
    # A job whose number nobody has noted finds no run of its name, and does nothing.
    assert run.ticket in [job.ticket for job in jobs]
    assert len(jobs) == (2 if stage == "submitted" else 1)
    (notice,) = notices(bench, NoticeState.WAITING, NoticeState.DUE)
    assert notice.run_id == run.id
    told = [job for job in bench.engine.list_jobs() if job.kind == "notice"]
    if stage in ("ended", "told"):
        assert (notice.state, run.exit_code) == (NoticeState.DUE, 3)
        assert notice.ticket in [job.ticket for job in told]
    else:
        assert (notice.state, told) == (NoticeState.WAITING, [])
