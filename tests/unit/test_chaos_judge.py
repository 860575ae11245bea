"""The judge of the chaos finds each thing that can be wrong, and nothing where all is well."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest
import requests

from chaos import leftovers
from chaos.clients import Client
from chaos.judge import Fate, LogEntry, Wrong, judge_fate, judge_leftovers, judge_unfinished, judge_watch
from chaos.notebook import Accepted, Notebook, Seen
from chaos.report import shown, summary
from chaos.scripts import MARKS
from chaos.storage_door import body_bytes
from knossos.jobs import JobRecord

REQUEST = Accepted("conversion", "17")
LOG = [
    LogEntry("1-0", "state"),
    LogEntry("2-0", "log"),
    LogEntry("2-1", "progress", lasting=False),
    LogEntry("3-0", "log"),
    LogEntry("4-0", "done"),
]
TOLD = [
    Seen("1-0", "state", {"state": "queued"}),
    Seen("2-0", "log_message", ["INFO: one"]),
    Seen("2-1", "progress", [0.5, ""]),
    Seen("3-0", "log_message", ["INFO: two"]),
    Seen("4-0", "done", [True]),
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


def test_a_request_whose_answer_was_lost_may_be_nowhere_but_not_twice() -> None:
    assert wrongs(ends=[], effects=0, certain=False) == []
    assert wrongs(ends=[], effects=2, certain=False) == [Wrong.DOUBLED]


@pytest.mark.parametrize("found", [{"a.zip": "other"}, {}])
def test_a_wrong_sum_or_a_missing_file_is_wrong(found: dict[str, str]) -> None:
    assert wrongs(ends=["succeeded"], promised={"a.zip": "sum"}, found=found) == [Wrong.WRONG]


def watched(messages: list[Seen]) -> list[Wrong]:
    return [found.wrong for found in judge_watch("watcher", messages, LOG)]


def test_a_watcher_who_saw_everything_once_is_right_also_without_passing_progress() -> None:
    assert watched(TOLD) == []
    assert watched([one for one in TOLD if one.event != "progress"]) == []


@pytest.mark.parametrize("gap", [0, 1, 3, 4])
def test_an_event_that_never_came_is_lost(gap: int) -> None:
    assert watched(TOLD[:gap] + TOLD[gap + 1 :]) == [Wrong.LOST]


def test_an_event_that_came_again_is_a_double() -> None:
    assert watched([*TOLD[:2], TOLD[1], *TOLD[2:]]) == [Wrong.DOUBLED]
    assert Wrong.DOUBLED in watched([*TOLD, TOLD[3]])
    assert watched([*TOLD, TOLD[4]]) == [Wrong.DOUBLED, Wrong.DOUBLED]


def test_an_event_that_stands_in_no_log_is_wrong() -> None:
    assert watched([*TOLD[:2], Seen("2-7", "log_message", ["INFO: invented"]), *TOLD[3:]]) == [Wrong.WRONG]


def test_what_the_server_says_to_one_watcher_alone_is_no_event() -> None:
    waits = ["INFO: The task waits; 3 are before it."]
    assert watched([Seen("0-0", "log_message", waits), *TOLD]) == []
    assert watched([TOLD[0], Seen("1-0", "log_message", waits), *TOLD[1:]]) == []


FIELDS = {
    **dict.fromkeys((b"title", b"owner", b"token", b"queue"), b""),
    **dict.fromkeys((b"created_at", b"changed_at"), b"1"),
    b"kind": b"repository",
    b"state": b"queued",
}


def test_a_task_that_has_not_ended_is_lost_whoever_asked_for_it() -> None:
    record = JobRecord.from_hash(17, FIELDS)
    found = judge_unfinished([record])
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
