"""The judge of the chaos finds each thing that can be wrong, and nothing where all is well."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from chaos import leftovers
from chaos.clients import Client
from chaos.judge import (
    KINDS,
    Fate,
    LogEntry,
    Wrong,
    judge_fate,
    judge_leftovers,
    judge_proof,
    judge_task,
    judge_unfinished,
    judge_watch,
    lacks_of_webhook,
)
from chaos.notebook import Accepted, Notebook, Seen
from chaos.report import shown, summary
from chaos.scripts import MARKS
from chaos.storage_door import body_bytes
from knossos.jobs import JobRecord

REQUEST = Accepted("conversion", "17")
QUEUED = {"state": "queued", "attempt": 0, "text": "Waits for a free worker."}
RUNNING = {"state": "running", "attempt": 1, "text": "A worker has started this task."}
END = {"success": True, "state": "succeeded", "failure": None}


def line(event_id: str, text: str, time: float) -> LogEntry:
    return LogEntry(event_id, "log", {"level": "INFO", "text": text, "time": time, "line": 1})


LOG = [
    LogEntry("1-0", "state", QUEUED),
    LogEntry("1-1", "state", RUNNING),
    line("2-0", "one", 2.0),
    LogEntry("2-1", "progress", {"fraction": 0.5, "text": ""}),
    LogEntry("2-2", "output", {"stream": "stdout", "text": "line 1\n"}),
    line("3-0", "two", 3.0),
    LogEntry("4-0", "done", END),
]
TOLD = [
    Seen("1-0", "state", [QUEUED]),
    Seen("1-1", "state", [RUNNING]),
    Seen("2-0", "log_message", ["INFO: one"]),
    Seen("2-1", "progress", [0.5, ""]),
    Seen("2-2", "output", ["stdout", "line 1\n"]),
    Seen("3-0", "log_message", ["INFO: two"]),
    Seen("4-0", "done", [True, {"state": "succeeded", "failure": None}]),
]


def wrongs(**fate: Any) -> list[Wrong]:
    return [found.wrong for found in judge_fate(Fate(REQUEST, **fate))]


def test_one_outcome_with_what_was_promised_is_right() -> None:
    assert wrongs(ends=["succeeded"], promised={"a.zip": "sum"}, found={"a.zip": "sum", "b.zip": "more"}) == []
    assert wrongs(ends=["failed"], effects=0) == []


def test_a_request_without_an_outcome_is_lost() -> None:
    assert wrongs(ends=[]) == [Wrong.LOST]


def test_a_second_outcome_is_a_double() -> None:
    assert wrongs(ends=["succeeded", "failed"]) == [Wrong.DOUBLED]


def test_an_effect_that_came_too_often_or_too_rarely_is_found() -> None:
    assert wrongs(ends=["succeeded"], effects=2) == [Wrong.DOUBLED]
    assert wrongs(ends=["succeeded"], effects=2, most=2) == []
    assert wrongs(ends=["succeeded"], effects=0, least=1) == [Wrong.LOST]
    assert wrongs(ends=["succeeded"], effects=0, least=1, certain=False) == []


def test_a_request_that_became_two_tasks_is_a_double() -> None:
    assert wrongs(ends=["succeeded"], tasks=[17]) == []
    assert wrongs(ends=["succeeded"], tasks=[17, 18]) == [Wrong.DOUBLED]


def test_what_a_request_lacks_is_lost() -> None:
    assert wrongs(ends=["succeeded"], lacks=["no task tells its webhook"]) == [Wrong.LOST]


def test_a_request_whose_answer_was_lost_may_be_nowhere_but_not_twice() -> None:
    assert wrongs(ends=[], effects=0, certain=False) == []
    assert wrongs(ends=[], effects=2, certain=False) == [Wrong.DOUBLED]


@pytest.mark.parametrize("found", [{"a.zip": "other"}, {}])
def test_a_wrong_sum_or_a_missing_file_is_wrong(found: dict[str, str]) -> None:
    assert wrongs(ends=["succeeded"], promised={"a.zip": "sum"}, found=found) == [Wrong.WRONG]


def watched(messages: list[Seen], log: list[LogEntry] = LOG) -> list[Wrong]:
    return [found.wrong for found in judge_watch("watcher", messages, log)]


def test_a_watcher_who_saw_everything_once_is_right_also_without_passing_progress() -> None:
    assert watched(TOLD) == []
    assert watched([one for one in TOLD if one.event != "progress"]) == []


def test_progress_that_newer_progress_has_replaced_is_right() -> None:
    replaced = Seen("1-7", "progress", [0.1, ""])
    assert watched([*TOLD[:2], replaced, *TOLD[2:]]) == []


@pytest.mark.parametrize("gap", [0, 1, 2, 4, 5, 6])
def test_an_event_that_never_came_is_lost(gap: int) -> None:
    assert watched(TOLD[:gap] + TOLD[gap + 1 :]) == [Wrong.LOST]


def test_an_event_that_came_again_is_a_double() -> None:
    assert watched([*TOLD[:2], TOLD[1], *TOLD[2:]]) == [Wrong.DOUBLED]
    assert Wrong.DOUBLED in watched([*TOLD, TOLD[3]])
    assert watched([*TOLD, TOLD[-1]]) == [Wrong.DOUBLED, Wrong.DOUBLED]
    again = Seen("2-0", "log_message", ["INFO: other words"])
    assert Wrong.DOUBLED in watched([*TOLD[:3], again, *TOLD[3:]])


def test_that_more_events_never_came_than_are_named_is_said() -> None:
    log = [*LOG[:2], *(line(f"2-{number}", f"line {number}", number) for number in range(7)), LOG[-1]]
    found = judge_watch("watcher", [*TOLD[:2], TOLD[-1]], log)
    assert [one.wrong for one in found] == [Wrong.LOST] * 6
    assert found[-1].text == "2 more events never came"
    found = judge_watch("watcher", [*TOLD[:2], TOLD[-1]], log[:-2] + log[-1:])
    assert found[-1].text == "1 more events never came"


@pytest.mark.parametrize(
    ("place", "other"),
    [
        (0, Seen("1-0", "captcha", [None])),
        (2, Seen("2-0", "log_message", ["INFO: garbage"])),
        (3, Seen("2-1", "progress", [0.7, ""])),
        (4, Seen("2-2", "output", ["stdout", "garbage"])),
        (4, Seen("2-2", "progress", [0.5, ""])),
        (4, Seen("2-2", "log_message", ["stdout", "line 1\n"])),
        (6, Seen("4-0", "done", [False, {"state": "failed", "failure": None}])),
    ],
)
def test_an_event_of_another_type_or_in_other_words_than_the_log_has_is_wrong(place: int, other: Seen) -> None:
    assert watched([*TOLD[:place], other, *TOLD[place + 1 :]]).count(Wrong.WRONG) == 1


def test_a_watcher_whom_no_end_was_told_is_a_finding_also_where_the_log_has_none() -> None:
    assert watched(TOLD[:-1]) == [Wrong.LOST]
    assert watched(TOLD[:-1], LOG[:-1]) == [Wrong.LOST]


def test_an_event_that_stands_in_no_log_is_wrong() -> None:
    assert watched([*TOLD[:3], Seen("2-1", "log_message", ["INFO: invented"]), *TOLD[4:]], LOG[:3] + LOG[4:]) == [
        Wrong.WRONG
    ]


def test_what_the_server_says_to_one_watcher_alone_is_no_event() -> None:
    waits = ["INFO: The task is queued; 3 tasks are before it."]
    assert watched([Seen("0-0", "log_message", waits), *TOLD]) == []
    assert watched([TOLD[0], Seen("1-0", "log_message", waits), *TOLD[1:]]) == []


FIELDS = {
    **dict.fromkeys((b"title", b"owner", b"token", b"queue"), b""),
    **dict.fromkeys((b"created_at", b"changed_at"), b"1"),
    b"kind": b"repository",
    b"state": b"queued",
}


def record(state: str, attempt: int = 1, code: str = "") -> JobRecord:
    failure = b'{"code": "%s", "message": "so"}' % code.encode() if code else b""
    fields = {b"state": state.encode(), b"attempt": b"%d" % attempt, b"failure": failure}
    return JobRecord.from_hash(17, FIELDS | fields)


def judged(log: list[LogEntry], state: str = "succeeded", **fields: Any) -> list[Wrong]:
    return [found.wrong for found in judge_task(record(state, **fields), log)]


def test_a_task_whose_log_tells_its_life_once_is_right_also_where_it_was_begun_again() -> None:
    assert judged(LOG) == []
    assert judged(LOG[:-1], "running") == []
    assert judged(LOG[:1], "queued", attempt=0) == []
    again = [LogEntry("3-1", "state", RUNNING | step) for step in ({"state": "retrying"}, {"attempt": 2})]
    assert judged([*LOG[:-1], *again, *LOG[2:]], attempt=2) == []


def test_a_task_that_has_ended_without_an_end_in_its_log_is_lost() -> None:
    assert judged(LOG[:-1]) == [Wrong.LOST]


def test_a_task_whose_log_lacks_a_beginning_is_lost() -> None:
    assert judged(LOG[1:]) == [Wrong.LOST]
    assert judged(LOG, attempt=2) == [Wrong.LOST]


@pytest.mark.parametrize("step", [0, 1, 6])
def test_a_step_of_a_tasks_life_that_its_log_has_twice_is_a_double(step: int) -> None:
    assert judged([*LOG[: step + 1], *LOG[step:]]) == [Wrong.DOUBLED]


def test_a_line_that_is_said_again_at_once_is_a_double_and_after_a_pause_it_is_not() -> None:
    assert judged([*LOG[:3], line("2-1", "one", 2.001), *LOG[3:]]) == [Wrong.DOUBLED]
    assert judged([*LOG[:-1], line("3-1", "two", 3.0), LOG[-1]]) == [Wrong.DOUBLED]
    assert judged([*LOG[:-1], line("3-1", "two", 5.0), LOG[-1]]) == []


def test_a_failure_that_nobody_foresaw_is_wrong() -> None:
    assert judged(LOG, "failed", code="disk_full") == []
    assert judged(LOG, "failed", code="internal") == [Wrong.WRONG]


def test_a_webhook_must_be_told_unless_every_try_was_killed() -> None:
    assert lacks_of_webhook(None)
    assert lacks_of_webhook(record("failed", code="address_refused"))
    assert lacks_of_webhook(record("cancelled", code="cancelled"))
    for fine in (record("succeeded"), record("queued"), record("running"), record("failed", code="worker_died")):
        assert not lacks_of_webhook(fine)


@pytest.mark.parametrize("missing", KINDS)
def test_a_run_that_accepted_nothing_of_a_kind_or_did_no_fault_proves_nothing(missing: str) -> None:
    accepted = dict.fromkeys(KINDS, 1)
    assert judge_proof(accepted, 1) == []
    assert [one.wrong for one in judge_proof(accepted, 0)] == [Wrong.WRONG]
    (found,) = judge_proof(accepted | {missing: 0}, 1)
    assert (found.wrong, missing in found.text) == (Wrong.WRONG, True)


def test_a_task_that_has_not_ended_is_lost_whoever_asked_for_it() -> None:
    found = judge_unfinished([JobRecord.from_hash(17, FIELDS)])
    assert [(one.wrong, one.about) for one in found] == [(Wrong.LOST, "task 17")]
    assert "repository" in found[0].text


def test_whatever_is_left_is_a_finding_and_makes_the_run_fail() -> None:
    findings = judge_leftovers(["workspace: /run/chaos/work/worker-1/17-abc"])
    faults, none = {"SIGKILL: worker": 2}, dict[str, int]()
    report = summary(
        seed=7, seconds=1, faults=faults, requests=none, outcomes=none, watchers=none, findings=findings, notes=none
    )
    assert (report["leftover"], report["lost"], report["clean"]) == (1, 0, False)
    assert "17-abc" in shown(report)
    assert "seed 7" in shown(report)
    assert "NOT ALL IS WELL" in shown(report)


def test_an_archive_that_no_result_has_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "mod" / "1.0.0").mkdir(parents=True)
    for name in ("a.zip", "b.zip"):
        (tmp_path / "mod" / "1.0.0" / name).touch()
    assert leftovers.of_mirror(tmp_path, {"mod/1.0.0/a.zip", "mod/1.0.0/b.zip"}) == []
    (left,) = leftovers.of_mirror(tmp_path, {"mod/1.0.0/a.zip"})
    assert left.endswith("mod/1.0.0/b.zip")


def test_a_file_in_a_folder_of_everybodys_is_left_over_but_for_those_of_the_backends(tmp_path: Path) -> None:
    for name in ("PostgreSQL.12345", "seaweedfs-s3-grpc-18334.sock"):
        (tmp_path / name).touch()
    assert leftovers.of_machine([tmp_path]) == []
    (tmp_path / "tmpab12").touch()
    assert len(leftovers.of_machine([tmp_path])) == 1


def test_a_file_in_a_home_that_no_script_has_made_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "4" / MARKS).mkdir(parents=True)
    (tmp_path / "4" / MARKS / "scripter-0-1").touch()
    assert leftovers.of_homes(tmp_path) == []
    (tmp_path / "4" / "output").touch()
    assert len(leftovers.of_homes(tmp_path)) == 1


def test_a_server_that_gives_no_answer_is_a_finding_even_where_another_try_gets_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = Notebook()
    client = Client(notebook, threading.Event())
    answer = requests.Response()
    answer.status_code = 200
    answers: list[Any] = [requests.ReadTimeout("slow"), answer]

    def ask(*_: Any, **__: Any) -> requests.Response:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return cast("requests.Response", found)

    monkeypatch.setattr(client.session, "request", ask)
    assert client.ask("GET", "/api/info?x=1", repeat=True).status_code == 200
    (text,) = notebook.surprises
    assert text.startswith("GET /api/info: no answer")


def test_the_door_knows_how_much_of_a_request_it_has_to_take() -> None:
    assert body_bytes(b"PUT /a HTTP/1.1\r\nHost: x\r\ncontent-length: 17") == 17
    assert body_bytes(b"GET /a HTTP/1.1\r\nHost: x") == 0
