"""What the chaos gathers reaches its judge: nothing that is wrong gets lost on the way there."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos import gathering, watchers
from chaos.conversions import VERSION
from chaos.gathering import Gathering
from chaos.inside import Run
from chaos.judge import Fate, LogEntry, Wrong, judge_fate
from chaos.notebook import Accepted, Notebook, Seen
from chaos.reckoning import reckon
from chaos.scripts import title_of
from knossos.jobs import JobRecord, JobState, keys
from knossos.jobs.events import Event
from tests.unit.test_chaos_judge import END, FIELDS, LOG, QUEUED, RUNNING


def record(ticket: int, **fields: str) -> JobRecord:
    given = {"kind": "conversion", "state": "succeeded", "attempt": "1"} | fields
    return JobRecord.from_hash(ticket, FIELDS | {name.encode(): value.encode() for name, value in given.items()})


class Tasks:
    """An engine, and its Redis, that has these tasks, and the followers of some of them; all have the same log."""

    def __init__(self, records: list[JobRecord], followers: dict[int, int] | None = None) -> None:
        self._records = {one.ticket: one for one in records}
        self._followers = followers or {}
        self.redis = self

    def zrange(self, key: str, *_: int) -> list[bytes]:
        return [str(ticket).encode() for ticket in self._records] if key == keys.TASKS else []

    def time(self) -> tuple[int, int]:
        return 1000, 0

    def hget(self, key: str, name: str) -> bytes | None:
        (follower,) = [then for ticket, then in self._followers.items() if keys.task(ticket) == key] or [None]
        return str(follower).encode() if name == "then" and follower else None

    def states(self, tickets: list[int]) -> dict[int, JobState]:
        return {ticket: self._records[ticket].state for ticket in tickets}

    def queue(self, _name: str) -> Any:
        return SimpleNamespace(scheduled_job_registry=SimpleNamespace(get_job_ids=lambda: ["17", "18"]))

    def events(self, _ticket: int) -> list[Event]:
        return [Event(entry.id, entry.type, dict(entry.data)) for entry in LOG]

    def find(self, ticket: int) -> JobRecord:
        return self._records[ticket]

    def records(self, tickets: list[int]) -> list[JobRecord]:
        return [self._records[ticket] for ticket in tickets]

    def list_jobs(self, limit: int) -> list[JobRecord]:
        return list(self._records.values())[:limit]


class Found(Gathering):
    """A gathering whose server knows nothing but these tasks, and whose scripts never left a mark."""

    def __init__(self, tasks: Tasks, notebook: Notebook, told: dict[int, int] | None = None) -> None:
        self.engine = cast(Any, tasks)
        self._notebook = notebook
        self._elsewhere = cast(Any, SimpleNamespace(told=Counter(told or {})))
        shown = {"status": "failed", "error": "so"}
        person = SimpleNamespace(as_person=lambda *_, **__: SimpleNamespace(json=lambda: shown))
        self._people = cast(Any, {"scripter-0": person})

    def _get(self, path: str) -> Any:
        return SimpleNamespace(json=lambda: {"state": "DONE"})

    def _converted(self, ticket: int, token: str) -> dict[str, str]:
        return {"a.zip": "sum"}

    def _marks(self, one: Accepted) -> list[str]:
        return ["begin"]


def conversion() -> Notebook:
    notebook = Notebook()
    notebook.accept("conversion", "17", name="mod-0-1", token="t", sums={"a.zip": "sum"})
    return notebook


FIRST = record(17, title=f"mod-0-1 {VERSION}")
SECOND = record(19, title=f"mod-0-1 {VERSION}")
TELLS = record(18, kind="webhook")
REFUSED = record(18, kind="webhook", state="failed", failure='{"code": "address_refused", "message": "no"}')


def wrongs_of(records: list[JobRecord], followers: dict[int, int], told: dict[int, int]) -> list[Wrong]:
    (fate,) = [look() for _, look in Found(Tasks(records, followers), conversion(), told).looks()]
    return [one.wrong for one in judge_fate(fate)]


def test_a_conversion_that_is_one_task_and_whose_webhook_was_told_is_right() -> None:
    assert wrongs_of([FIRST, TELLS], {17: 18}, {17: 1}) == []


def test_a_conversion_that_became_two_tasks_is_a_double() -> None:
    assert wrongs_of([FIRST, TELLS, SECOND], {17: 18}, {17: 1}) == [Wrong.DOUBLED]


def test_a_conversion_whose_webhook_was_not_told_is_lost() -> None:
    assert wrongs_of([FIRST], {}, {}) == [Wrong.LOST]
    assert wrongs_of([FIRST, REFUSED], {17: 18}, {}) == [Wrong.LOST]
    assert wrongs_of([FIRST, TELLS], {17: 18}, {}) == [Wrong.LOST]


def test_a_conversion_whose_webhook_was_told_twice_is_a_double() -> None:
    assert wrongs_of([FIRST, TELLS], {17: 18}, {17: 2}) == [Wrong.DOUBLED]


def test_a_conversion_whose_answer_was_lost_may_be_a_task_but_not_two() -> None:
    notebook = Notebook()
    notebook.lose_answer("conversion", "mod-0-1", None, name="mod-0-1", sums={"a.zip": "sum"})

    def wrongs(*tasks: JobRecord) -> list[Wrong]:
        (fate,) = [look() for _, look in Found(Tasks([*tasks, TELLS], {17: 18}), notebook, {17: 1}).looks()]
        return [one.wrong for one in judge_fate(fate)]

    assert wrongs() == []
    assert wrongs(FIRST) == []
    assert wrongs(FIRST, SECOND) == [Wrong.DOUBLED]


def test_a_script_that_became_two_tasks_is_a_double() -> None:
    notebook = Notebook()
    notebook.accept("script", "17", name="scripter-0-1", owner="scripter-0", lines=3)
    of_script = {"kind": "home", "title": title_of("scripter-0-1"), "state": "failed"}

    def tickets(*tasks: JobRecord) -> list[int]:
        (fate,) = [look() for _, look in Found(Tasks(list(tasks)), notebook).looks()]
        return list(fate.tasks)

    assert tickets(record(17, **of_script), record(18, kind="conversion")) == [17]
    assert tickets(record(17, **of_script), record(18, **of_script)) == [17, 18]


def test_tasks_that_have_not_ended_are_found_and_which_of_them_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {16: "succeeded", 17: "queued", 18: "queued", 19: "running", 20: "failed", 21: "cancelled"}
    found = Found(Tasks([record(ticket, state=state) for ticket, state in states.items()]), Notebook())
    assert found.unfinished() == [17, 18, 19]
    monkeypatch.setattr(gathering.pauses, "over", lambda _queue, now: ["17"] if now == 1000 else [])
    assert found.pausing() == {18}


class Broken:
    """A deployment in which one thing of each sort is wrong."""

    engine = Tasks([record(17, state="queued")])
    records = (record(20, state="failed", failure='{"code": "internal", "message": "a mistake"}'),)

    def looks(self) -> Iterator[tuple[str, Any]]:
        yield "fate", lambda: Fate(Accepted("upload", "sum"), [])
        yield "unknown", lambda: 1 / 0

    def log(self, _ticket: int) -> list[LogEntry]:
        return LOG


def notebook_of_a_watcher() -> Notebook:
    notebook = Notebook()
    notebook.watch(17, "watcher 1")
    return notebook


EXPECTED = {"task 17", "upload sum", "unknown", "task 20", "watcher 1 of task 17", "run"}


def test_everything_that_is_wrong_comes_before_the_judge() -> None:
    found = reckon(cast(Any, Broken()), notebook_of_a_watcher(), [17], 0)
    assert {one.about for one in found} == EXPECTED


def test_what_is_found_is_told_at_once_before_a_server_that_hangs_is_asked() -> None:
    class Hanging(Broken):
        def looks(self) -> Iterator[tuple[str, Any]]:
            pytest.fail("this would wait for ever")
            yield

    found = reckon(cast(Any, Hanging()), notebook_of_a_watcher(), [17], 0)
    of_tasks_and_watchers = EXPECTED - {"upload sum", "unknown"}
    told: set[str] = set()
    while told != of_tasks_and_watchers:
        told.add(next(found).about)


def test_what_cannot_be_asked_or_read_is_a_finding_and_the_rest_is_judged_all_the_same() -> None:
    class Silent(Broken):
        def log(self, ticket: int) -> list[LogEntry]:
            raise OSError(f"no log of {ticket}")

    found = reckon(cast(Any, Silent()), notebook_of_a_watcher(), [17], 0)
    assert {one.about for one in found} == EXPECTED


def test_a_run_reports_what_its_reckoning_finds_and_which_faults_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.__new__(Run)
    run.notebook, run.findings, run.harm, run.seed, run.seconds, run.began = notebook_of_a_watcher(), [], 0, 1, 1, 0.0
    run.faults = cast(Any, SimpleNamespace(counts={}, broken=["disk full: mirror: OSError"]))
    run.elsewhere, run.cut_jobs = cast(Any, SimpleNamespace(told=Counter())), []
    run.deployment = cast(Any, SimpleNamespace(door=Counter(), keeper=SimpleNamespace(units={})))
    run.deployment.door.refused = 0  # type: ignore[attr-defined]
    all_of_it = Broken()
    for name in ("outcomes", "taken"):
        setattr(all_of_it, name, Counter)
    setattr(all_of_it, "pausing", set)  # noqa: B010
    setattr(all_of_it, "repeats", int)  # noqa: B010
    for name, answer in {"_late": [17], "_leftovers": [], "_left_after_the_stop": []}.items():
        monkeypatch.setattr(run, name, lambda *_, answer=answer: answer)
    report = run._reckon(cast(Any, all_of_it))
    assert {one["about"] for one in report["findings"]} == {*EXPECTED, "fault"}


def test_a_watcher_notes_what_it_gets_also_where_it_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    got = [["state", [QUEUED], "1-0"], ["state", [RUNNING], "1-0"], ["done", [True, END], "4-0"]]

    class Connection:
        async def read_message(self) -> str:
            return json.dumps(got.pop(0))

        def close(self) -> None:
            pass

    async def connect(*_: Any, **__: Any) -> Connection:
        return Connection()

    monkeypatch.setattr(watchers, "websocket_connect", connect)
    monkeypatch.setattr(watchers, "DROPS_ONE_IN", 10**9)
    notebook = Notebook()
    all_watchers = watchers.Watchers(notebook, random.Random(1))
    watch = notebook.watch(17, "watcher 1")
    try:
        asyncio.run(all_watchers._listen(watch, watchers.Pass()))
    finally:
        all_watchers._loop.close()
    assert watch.seen == [
        Seen("1-0", "state", [QUEUED]),
        Seen("1-0", "state", [RUNNING]),
        Seen("4-0", "done", [True, END]),
    ]
    assert watch.ended
