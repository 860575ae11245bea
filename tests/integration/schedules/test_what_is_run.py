"""What a schedule runs, with whose rights, and how it is changed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from knossos.accounts import Account, Accounts
from knossos.errors import InvalidInput
from knossos.homes.homes import Homes
from knossos.jobs import JobState
from knossos.scripting.notices.states import NoticeEvent, NoticeState
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Ending
from knossos.scripting.schedules.states import FiringState, NoSuchSchedule, NotAllowed, TooManySchedules
from tests.support.people import CHEAP
from tests.support.schedule_firing import HOOK, notices
from tests.support.schedules import ScheduleBench

XML = "<input><value>7</value></input>"


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
