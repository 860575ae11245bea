"""Schedules that are due, on both databases: once for each time, whoever looks and whoever is killed meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import select, update

from knossos.accounts import Account, Accounts
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.homes.homes import Homes
from knossos.jobs import Engine, JobState
from knossos.scripting.notices.states import NoticeEvent, NoticeState
from knossos.scripting.notices.tables import NoticeRow
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.scripting.schedules.schedules import as_firing
from knossos.scripting.schedules.states import FiringState, NoSuchSchedule, NotAllowed, StillRunning, TooManySchedules
from knossos.scripting.schedules.sweeping import LEFT_SECONDS
from knossos.scripting.schedules.tables import FiringRow, ScheduleRow
from knossos.scripting.schedules.ticker import LOOK_SECONDS, Ticker
from knossos.scripting.schedules.words import local_time
from knossos.settings import Settings
from tests.support.people import CHEAP
from tests.support.processes import Process, write_settings
from tests.support.schedules import ScheduleBench

HOOK = {"when": "failure", "webhook": "http://127.0.0.1:9/hook"}
XML = "<input><value>7</value></input>"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, database_url: str) -> Settings:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "echo.sh"
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)
    more = {"server_side_scripting_bin_dirs": (str(tmp_path / "bin"),), "database": database_url, "command": "sh"}
    granted = {"curators": ("SCRIPTING:EXECUTE:*",)}
    calculates = {"calculation_command": ("true",), "calculation_open": True}
    return settings.model_copy(update={**more, **calculates, "role_permissions": granted, "schedules_per_account": 3})


@pytest.fixture
def bench(settings: Settings, database: Database, engine: Engine) -> ScheduleBench:
    return ScheduleBench(settings, database, engine)


@pytest.fixture
def dora(bench: ScheduleBench) -> Account:
    return Accounts(bench.database, CHEAP).add("Dora", "correct horse", ["curators"], more_roles=["curators"])


def notices(bench: ScheduleBench, *states: NoticeState) -> list[NoticeRow]:
    with bench.database.reading() as session:
        return list(session.scalars(select(NoticeRow).where(NoticeRow.state.in_(states))))


def test_a_schedule_that_is_due_is_run_once_however_many_look(bench: ScheduleBench, dora: Account) -> None:
    schedule, now = bench.make(dora, arguments=["a b", "--x=1"]), time.time()
    bench.due(schedule, now - 1)
    others = [bench.another() for _ in range(4)]
    barrier = threading.Barrier(len(others))

    def look(one: ScheduleBench) -> None:
        barrier.wait()
        one.made.firings.fire_due(now)

    threads = [threading.Thread(target=look, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.database.close()
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


def test_rights_are_those_of_the_moment_and_a_schedule_without_them_stops_itself(
    bench: ScheduleBench, dora: Account
) -> None:
    schedule, now = bench.make(dora, notices=HOOK), time.time()
    Accounts(bench.database, CHEAP).set_roles("dora", [])
    bench.due(schedule, now)
    bench.made.firings.fire_due(now)
    after = bench.made.schedules.get(dora, schedule.schedule_id)
    assert (after.next_at, after.stopped) == (None, "Dora may not run echo.sh.")
    assert after.last is not None
    assert after.last.state is FiringState.REFUSED
    (told,) = notices(bench, NoticeState.DUE)
    assert (told.event, told.text) == (NoticeEvent.STOPPED, after.stopped)
    assert notices(bench, NoticeState.WAITING) == []
    with pytest.raises(NotAllowed):
        bench.make(Accounts(bench.database, CHEAP).get("dora"))


def test_an_account_that_was_disabled_runs_nothing_and_is_told_nothing(bench: ScheduleBench, dora: Account) -> None:
    schedule, now = bench.make(dora, notices=HOOK), time.time()
    Accounts(bench.database, CHEAP).disable("dora")
    bench.due(schedule, now)
    bench.made.firings.fire_due(now)
    after = bench.made.schedules.get(dora, schedule.schedule_id)
    assert (after.next_at, after.stopped, bench.runs()) == (None, "Its account was disabled.", [])
    assert notices(bench, NoticeState.DUE, NoticeState.WAITING) == []


def test_a_script_that_is_gone_is_told_each_time_and_the_schedule_goes_on(
    bench: ScheduleBench, dora: Account, tmp_path: Path
) -> None:
    schedule, now = bench.make(dora, notices=HOOK), time.time()
    (tmp_path / "bin" / "echo.sh").unlink()
    bench.due(schedule, now)
    bench.made.firings.fire_due(now)
    after = bench.made.schedules.get(dora, schedule.schedule_id)
    assert after.is_on
    assert after.last is not None
    assert after.last.state is FiringState.REFUSED
    assert [one.event for one in notices(bench, NoticeState.DUE)] == [NoticeEvent.NOT_RUN]


def test_a_script_of_the_home_is_read_as_it_is_then(bench: ScheduleBench, dora: Account) -> None:
    from knossos.homes import Homes

    with pytest.raises(InvalidInput) as caught:
        bench.make(dora, kind="home", script=None, path="work/nightly.sh")
    assert [one["path"] for one in caught.value.errors] == ["path"]
    with Homes(bench.settings).open(dora.user_id) as home:
        home.make_folder("", "work")
        with home.receive("work/nightly.sh", 7) as upload:
            upload.write(b"echo 1\n")
    schedule, now = bench.make(dora, kind="home", script=None, path="work/nightly.sh"), time.time()
    with Homes(bench.settings).open(dora.user_id) as home, home.receive("work/nightly.sh", 7) as upload:
        upload.write(b"echo 2\n")
    bench.due(schedule, now)
    bench.made.firings.fire_due(now)
    (run,) = bench.runs()
    assert run.kind == "home"
    storage = bench.made.schedules._storage
    assert b"".join(storage.read(f"runs/{run.id}/script")) == b"echo 2\n"
    kept = bench.make(dora, kind="home", script=None, job=run.id, name="Kept")
    assert bench.made.schedules.content(kept) == b"echo 2\n"


def test_a_calculation_is_calculated_anew_and_skipped_while_it_goes_on(bench: ScheduleBench, dora: Account) -> None:
    schedule, now = bench.make(dora, kind="calculation", script=None, input=XML), time.time()
    bench.due(schedule, now)
    bench.made.firings.fire_due(now)
    (first,) = bench.runs()
    twin = bench.make(dora, kind="calculation", script=None, calculation=schedule.target)
    bench.due(twin, now)
    bench.made.firings.fire_due(now)
    assert [one.state for one in bench.firings(twin)] == [FiringState.SKIPPED]
    bench.made.firings._runs.end(first.id, Ending(RunOutcome.EXITED, 0), ())
    bench.due(schedule, now + 1)
    bench.made.firings.fire_due(now + 1)
    (second,) = bench.runs()
    assert second.id == bench.firings(schedule)[-1].run_id != first.id
    assert bench.firings(schedule)[-1].state is FiringState.STARTED


def test_an_account_has_no_more_schedules_than_it_may(bench: ScheduleBench, dora: Account) -> None:
    for _ in range(3):
        bench.make(dora)
    with pytest.raises(TooManySchedules):
        bench.make(dora)


def test_a_schedule_is_changed_field_by_field_and_removed_with_all_that_is_kept(
    bench: ScheduleBench, dora: Account
) -> None:
    schedules = bench.made.schedules
    schedule = bench.make(dora, kind="calculation", script=None, input=XML, notices=HOOK)
    changed = schedules.change(dora, schedule.schedule_id, {"name": "Nightly", "enabled": False})
    assert (changed.name, changed.next_at, changed.notices) == ("Nightly", None, schedule.notices)
    changed = schedules.change(
        dora, schedule.schedule_id, {"enabled": True, "cron": "*/5 * * * *", "zone": "Asia/Tokyo"}
    )
    assert changed.is_on
    assert (changed.when.cron, changed.when.zone) == ("*/5 * * * *", "Asia/Tokyo")
    assert schedules.content(changed) == XML.encode()
    once = schedules.change(dora, schedule.schedule_id, {"at": "2031-01-01T00:00", "cron": None})
    assert once.when.cron == ""
    other = bench.account("emil")
    for act in (schedules.get, schedules.remove, schedules.history):
        with pytest.raises(NoSuchSchedule):
            act(other, schedule.schedule_id)
    schedules.remove(dora, schedule.schedule_id)
    assert schedules.of_account(dora) == []
    assert list(schedules._storage.list_keys("schedules")) == []


def test_running_one_at_once_leaves_its_next_time_alone(bench: ScheduleBench, dora: Account) -> None:
    schedule = bench.make(dora)
    firing = bench.made.firings.run_now(dora, schedule.schedule_id)
    after = bench.made.schedules.get(dora, schedule.schedule_id)
    assert (after.next_at, firing.by_hand) == (schedule.next_at, True)
    assert [run.id for run in bench.runs()] == [firing.run_id]
    assert bench.engine.list_jobs()[0].state is JobState.QUEUED


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


def test_a_file_of_the_home_that_vanished_is_told_and_the_schedule_goes_on(bench: ScheduleBench, dora: Account) -> None:
    schedule_file = "nightly.sh"
    with Homes(bench.settings).open(dora.user_id):
        pass
    folder = Path(Homes(bench.settings).folder(dora.user_id))
    (folder / schedule_file).write_text("echo hello")
    schedule, now = bench.make(dora, kind="home", script=None, path=schedule_file, notices=HOOK), time.time()
    (folder / schedule_file).unlink()
    bench.due(schedule, now)
    assert bench.made.firings.fire_due(now) == 1
    (firing,) = bench.firings(schedule)
    assert firing.state is FiringState.REFUSED
    assert [one.event for one in notices(bench, NoticeState.DUE)] == [NoticeEvent.NOT_RUN]
    assert bench.made.schedules.get(dora, schedule.schedule_id).is_on
    (folder / schedule_file).symlink_to("/etc/passwd")
    bench.due(schedule, now + 1)
    assert bench.made.firings.fire_due(now + 1) == 1
    assert [one.state for one in bench.firings(schedule)] == [FiringState.REFUSED, FiringState.REFUSED]
    assert bench.runs() == []


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
    others, later = [bench.another() for _ in range(2)], time.time() + LEFT_SECONDS + 5
    threads = [threading.Thread(target=one.made.sweeper.sweep, args=(later,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in others:
        one.database.close()
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
