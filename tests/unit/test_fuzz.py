"""The frame of the fuzzing: inputs come from seeds, crashes are kept and can be had once more, numbers are told."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote

import pytest

from fuzz import __main__ as fuzz
from fuzz import campaign, crashes, needs, wire
from fuzz.canaries import SECRET, Watch, must_not_tell, plant
from fuzz.child import said_of
from fuzz.crashes import Broken, Crash, CrashKind
from fuzz.http import check
from fuzz.places import scratch
from fuzz.rounds import DatabaseKind, Round, rounds_of
from fuzz.targets import SHARES, load
from fuzz.targets.sockets import frame
from fuzz.wire import Answer
from knossos.errors import EXIT_MISSING

CRASH = Crash(Round("archives"), 7, 3, CrashKind.ERROR, "a stack\nKeyError: 'x'", b"\x00\xffdata", (b"before",))


pytestmark = pytest.mark.usefixtures("own_signals")


@pytest.mark.parametrize("name", SHARES)
def test_the_same_seed_gives_the_same_inputs_and_another_gives_others(name: str) -> None:
    def first(seed: str) -> list[bytes]:
        return list(itertools.islice(load(name).inputs(Random(seed)), 12))

    assert first("1") == first("1")
    assert first("1") != first("2")


def test_a_crash_is_kept_and_read_as_it_was(tmp_path: Path) -> None:
    path = CRASH.save(tmp_path)
    assert crashes.load(path) == CRASH
    other = replace(CRASH, round=Round("protocols", DatabaseKind.POSTGRESQL))
    assert crashes.load(other.save(tmp_path)) == other
    assert path.name.startswith("archives-error-")
    path.write_text("{}")
    with pytest.raises(ValueError, match="no crash"):
        crashes.load(path)


def test_crashes_that_differ_in_numbers_and_names_are_probably_one() -> None:
    other = Crash(Round("archives"), 7, 9, CrashKind.ERROR, "another stack\nKeyError: 'y'\nWARNING 3", b"other")
    assert other.signature == CRASH.signature
    assert Crash(Round("archives"), 7, 9, CrashKind.HANG, "KeyError: 'y'", b"other").signature != CRASH.signature


class Taker:
    """Breaks at each second input."""

    def __init__(self) -> None:
        self.count = 0

    def take(self, data: bytes) -> None:
        self.count += 1
        if self.count % 2 == 0:
            raise Broken(CrashKind.ERROR, f"number {self.count}")


def test_every_crash_is_counted_and_the_first_of_each_kind_are_kept(tmp_path: Path) -> None:
    plan = campaign.Plan(Round("descriptions"), 1, seconds=3600, inputs=20)
    outcome = campaign.run(plan, load("descriptions"), Taker(), tmp_path)
    assert (outcome.inputs, outcome.crashes) == (20, 10)
    assert outcome.found == {"descriptions error: number *": 10}
    assert len(outcome.files) == campaign.FILES_OF_ONE
    kept = crashes.load(outcome.files[1])
    assert (kept.number, len(kept.earlier)) == (4, 3)


def test_a_target_ends_when_its_time_is_over(tmp_path: Path) -> None:
    times = iter(range(0, 1000, 2))
    plan = campaign.Plan(Round("descriptions"), 1, seconds=9)
    outcome = campaign.run(plan, load("descriptions"), Taker(), tmp_path, clock=lambda: next(times))
    assert outcome.inputs == 5


def test_a_tree_that_changes_outside_of_its_roots_is_noticed(tmp_path: Path) -> None:
    canary = plant(tmp_path)
    (tmp_path / "room").mkdir()
    watch = Watch(tmp_path, [tmp_path / "room"])
    (tmp_path / "room" / "file").touch()
    watch.check()
    for change in (
        lambda: canary.write_text("x"),
        canary.unlink,
        lambda: canary.symlink_to("/etc/passwd"),
        lambda: (tmp_path / "new").mkdir(),
    ):
        change()
        with pytest.raises(Broken) as caught:
            watch.check()
        assert caught.value.kind is CrashKind.OUTSIDE
        watch.check()  # once


def test_an_answer_with_a_canary_in_it_and_one_of_an_error_are_crashes() -> None:
    with pytest.raises(Broken) as caught:
        must_not_tell(b"... " + SECRET)
    assert caught.value.kind is CrashKind.OUTSIDE
    with pytest.raises(Broken) as caught:
        check(Answer(500, b"HTTP/1.1 500 X\r\n\r\nbad"))
    assert caught.value.kind is CrashKind.ERROR
    for status in (200, 404, None):
        check(Answer(status, b"fine"))


def test_an_answer_that_holds_another_secret_is_a_crash_that_tells_which() -> None:
    must_not_tell(b"... key ...")
    with pytest.raises(Broken) as caught:
        must_not_tell(b"... key ...", {b"key": "what signs"})
    assert (caught.value.kind, "what signs" in caught.value.detail) == (CrashKind.OUTSIDE, True)


@pytest.mark.parametrize(
    ("whole", "status"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 X\r\n\r\n", 500),
        (b"HTTP/1.1 102 P\r\nA: b\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500", 200),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 500", 101),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 100 Continue\r\n", None),
        (b"garbage", None),
    ],
)
def test_what_comes_before_an_answer_is_not_the_answer(whole: bytes, status: int | None) -> None:
    assert Answer.of(whole) == Answer(status, whole)


_GET = b"GET /a?b HTTP/1.1\r\nHost: here\r\n"
_POST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n"


@pytest.mark.parametrize("answer", [b"", b"garbage", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_request_that_is_whole_has_to_be_answered(answer: bytes) -> None:
    for request in (_GET + b"\r\n", _GET + b"Expect: 100-continue\r\nX:\r\n\r\n", _POST + b"\r\nabc"):
        assert wire.is_whole(request)
        with pytest.raises(ConnectionError, match="no answer"):
            check(Answer.of(answer), of=request)


@pytest.mark.parametrize(
    "request_sent",
    [
        b"",
        b"\r\n\r\n",
        _GET,
        _GET + b"no colon\r\n\r\n",
        _GET + b" folded: x\r\n\r\n",
        _GET + b"X: \xff\r\n\r\n",
        _GET + b"X: a\nb\r\n\r\n",
        _GET + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
        _GET + b"Host: there\r\n\r\n",
        _GET + b"\r\nabc",
        _GET + b"Transfer-Encoding: chunked\r\n\r\n",
        _POST + b"\r\nab",
        _POST + b"Content-Length: 3\r\n\r\nabc",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / b HTTP/1.1\r\nHost: here\r\n\r\n",
        b"GET / HTTP/3\r\nHost: here\r\n\r\n",
    ],
)
def test_a_server_may_close_without_a_word_where_a_request_is_not_whole(request_sent: bytes) -> None:
    assert not wire.is_whole(request_sent)
    check(Answer.of(b""), of=request_sent)


def test_paths_lead_out_of_the_mirror_to_all_that_lies_outside() -> None:
    """As a server would be led that takes out no steps but those that are plain, as uWSGI does."""
    reached = set()
    for request in itertools.islice(load("served_paths").inputs(Random("1")), 5000):
        address = request.partition(b" HTTP/")[0].partition(b" ")[2].decode()
        if address.startswith("/mirror/") and "/../" not in address:
            reached.add(os.path.normpath(f"/base/data{unquote(address)}"))
    outside = {"data/secret_key", "data/repository_key", "data/canary.txt", "data/homes/1/secret.txt", "settings.py"}
    assert reached >= {"/etc/passwd", "/proc/self/environ", *(f"/base/{name}" for name in outside)}


def test_what_an_input_takes_is_measured_for_each_alone() -> None:
    def take(data: bytes) -> None:
        bytearray(b"x") * int(data)  # it is written to, and so it is real

    found = [said_of(take, str(size << 20).encode(), 48 << 20) for size in (40, 80, 110, 130, 10)]
    assert [one and one["kind"] for one in found] == [None, "memory", "memory", "memory", None]


def test_a_template_is_filled_and_its_length_is_that_of_the_filled_body() -> None:
    template = b"POST /{{a}} HTTP/1.1\r\nContent-Length: {{length}}\r\n\r\nx={{b}}&y={{unknown}}"
    filled = wire.filled(template, {"a": b"here", "b": b"twelve bytes"})
    assert filled == b"POST /here HTTP/1.1\r\nContent-Length: 28\r\n\r\nx=twelve bytes&y={{unknown}}"


def test_a_frame_is_masked_and_may_lie_about_its_length() -> None:
    assert frame(1, b"abc") == b"\x81\x83\x11\x22\x33\x44" + bytes((ord("a") ^ 0x11, ord("b") ^ 0x22, ord("c") ^ 0x33))
    assert frame(2, b"", end=False, masked=False) == b"\x02\x00"
    assert frame(1, b"", length=65536, masked=False) == b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"


def test_numbers_and_ways_to_replay_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = campaign.Outcome(Round("archives"), inputs=1234)
    outcome.add(CRASH, tmp_path / "fuzz")
    fuzz.publish([outcome, campaign.Outcome(Round("xml"), inputs=1)], 7, tmp_path)
    said = capsys.readouterr().out
    assert "| archives | 1,234 | 1 |" in said
    assert "| **all** | 1,235 | 1 |" in said
    assert "python -m fuzz --replay " in said
    numbers: list[dict[str, Any]] = json.loads((tmp_path / "fuzz.json").read_text())
    assert [(row["target"], row["seed"], row["inputs"], row["crashes"]) for row in numbers] == [
        ("archives", 7, 1234, 1),
        ("xml", 7, 1, 0),
    ]


@pytest.mark.parametrize("missing", ["schemathesis", "bwrap"])
def test_what_is_missing_is_named_with_the_way_to_install_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find, which = importlib.util.find_spec, shutil.which
    monkeypatch.setattr(needs, "find_spec", lambda name: None if name == missing else find(name))
    monkeypatch.setattr(needs.shutil, "which", lambda name: None if name == missing else which(name))
    assert fuzz.main(["--into", str(tmp_path), "xml"]) == EXIT_MISSING
    said = capsys.readouterr().err
    assert "requirements-dev.txt" in said if missing == "schemathesis" else "apt install bubblewrap" in said
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_starts_has_its_temporary_files_in_a_folder_that_goes_with_the_run() -> None:
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    make = [sys.executable, "-c", "import tempfile; print(tempfile.mkstemp()[1])"]
    with scratch() as folder:
        left = Path(subprocess.run(make, capture_output=True, text=True, check=True, timeout=60).stdout.strip())
        assert left.parent == folder
    assert not left.exists()
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


def test_a_missing_postgresql_is_named_only_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(needs, "programs_folder", lambda: None)
    assert fuzz.main(["--into", str(tmp_path), "protocols"]) == EXIT_MISSING
    assert "apt install postgresql" in capsys.readouterr().err
    needs.check_databases([DatabaseKind.SQLITE, None])


def test_what_has_a_deployment_runs_on_each_database_with_other_inputs_in_the_time_of_one() -> None:
    rounds = rounds_of(["xml", "protocols", "sockets"], list(DatabaseKind))
    assert [one.name for one, _ in rounds] == [
        "xml", "protocols", "sockets", "protocols, PostgreSQL", "sockets, PostgreSQL",
    ]  # fmt: skip
    assert sum(part for _, part in rounds) == sum(SHARES[name] for name in ("xml", "protocols", "sockets"))


def test_a_target_that_is_none_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fuzz.main(["everything"])
    assert "'everything'" in capsys.readouterr().err
