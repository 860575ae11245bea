"""The parts of a conversion that need no network: items, bundles, the board, and the pipeline."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from knossos.errors import KnossosError
from knossos.jobs import FilePhase
from knossos.packaging.conversion.board import Board
from knossos.packaging.conversion.errors import FileFailure, files_failed
from knossos.packaging.conversion.items import Bundle, Item, bundles_of, items_of
from knossos.packaging.conversion.pipeline import Outcome, StopSignal, work_through
from knossos.packaging.description import parse_request
from tests.support.conversions import NotingReporter, file, mod


def bundles(*packages: Sequence[str], **more: Any) -> list[Bundle]:
    described = mod(*[[file(f"https://example.org/{name}", **more) for name in names] for names in packages])
    return bundles_of(parse_request(json.dumps(described)))


def names(found: Sequence[Bundle]) -> list[list[str]]:
    return [[item.file.filename for item in bundle.items] for bundle in found]


class TestItems:
    def test_the_volumes_of_an_archive_belong_together_in_their_order(self) -> None:
        found = bundles(["b.7z.002", "x.zip", "b.7z.001", "B.7z.003"], ["b.7z.001"])
        assert names(found) == [["b.7z.001", "b.7z.002", "B.7z.003"], ["x.zip"], ["b.7z.001"]]
        assert [item.key for item in items_of(found)] == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3), (0, 1, 0)]

    def test_files_that_are_no_archives_are_never_volumes(self) -> None:
        assert len(bundles(["b.7z.001", "b.7z.002"], is_archive=False)) == 2
        assert len(bundles(["data.7z", "data.zip", "data.12"])) == 3

    def test_a_label_says_as_much_as_it_takes(self) -> None:
        labels = [item.label for item in items_of(bundles(["a.7z", "b.7z"], ["a.7z"]))]
        assert labels == ["Package 0: a.7z", "b.7z", "Package 1: a.7z"]
        same = [{**mod([file("https://example.org/a.7z")]), "id": name} for name in ("one", "two")]
        found = bundles_of(parse_request(json.dumps({"mods": same})))
        assert [item.label for item in items_of(found)] == [
            "one 1.0.0, Package 0: a.7z",
            "two 1.0.0, Package 0: a.7z",
        ]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class TestBoard:
    def board(self, *filenames: str) -> tuple[Board, list[Item], NotingReporter, Clock]:
        items, reporter, clock = items_of(bundles(filenames)), NotingReporter(), Clock()
        return Board(items, reporter, clock), items, reporter, clock

    def test_speed_and_time_left_come_from_the_bytes_that_arrive(self) -> None:
        board, (item,), reporter, clock = self.board("a.7z")
        for second in range(6):
            clock.now = float(second)
            board.downloading(item, second * 1000, 10_000)
        (state,) = reporter.states[-1]
        assert (state.phase, state.done_bytes, state.total_bytes) == (FilePhase.DOWNLOADING, 5000, 10_000)
        assert state.bytes_per_second == pytest.approx(1000)
        assert state.seconds_left == pytest.approx(5)
        assert reporter.texts[-1] == "Downloading a.7z"

    def test_what_a_file_waits_for_is_told_in_place_of_its_speed(self) -> None:
        board, (item,), reporter, clock = self.board("a.7z")
        for second in range(3):
            clock.now = float(second)
            board.downloading(item, second * 1000, 10_000)
        clock.now = 9.0
        board.waiting(item, "host has sent nothing for 7 s")
        (state,) = reporter.states[-1]
        assert (state.phase, state.done_bytes, state.note) == ("downloading", 2000, "host has sent nothing for 7 s")
        assert (state.bytes_per_second, state.seconds_left) == (None, None)
        assert reporter.texts[-1] == "Downloading a.7z - host has sent nothing for 7 s"
        clock.now = 10.0
        board.downloading(item, 3000, 10_000)
        assert (reporter.states[-1][0].note, reporter.texts[-1]) == ("", "Downloading a.7z")

    def test_a_file_that_failed_does_not_count_as_read(self) -> None:
        board, (first, second), reporter, clock = self.board("a.7z", "b.7z")
        board.done(first, 10)
        clock.now += 1
        board.failed(second, "b.7z is bad.")
        board.report()
        assert reporter.texts[-1] == "1 of 2 files are read, 1 failed"
        alone, (item,), reporter, _ = self.board("a.7z")
        alone.failed(item, "a.7z is bad.")
        alone.report()
        assert reporter.texts[-1] == "a.7z failed"

    @pytest.mark.parametrize(
        ("message", "sentence"),
        [
            ("a.7z is bad:\n- it is", "a.7z is bad."),
            ("a.7z is bad.\nReally.", "a.7z is bad."),
            ("a.7z: bad", "a.7z: bad"),
        ],
    )
    def test_what_a_files_row_says_is_a_sentence_of_its_own(self, message: str, sentence: str) -> None:
        (item,) = items_of(bundles(["a.7z"]))
        assert FileFailure(item, KnossosError(message)).sentence == sentence

    def test_the_whole_never_goes_backwards_and_ends_at_one(self) -> None:
        board, (first, second), reporter, clock = self.board("a.7z", "b.7z")
        for step in range(1, 11):
            clock.now += 1
            board.downloading(first, step * 10, 100)
        clock.now += 1
        board.downloading(second, 1, 100_000)
        for item in (first, second):
            clock.now += 1
            board.inspecting(item, 50, 100)
            board.done(item, 100)
        board.report()
        board.stage(1.0, "Done")
        assert reporter.fractions == sorted(reporter.fractions)
        assert reporter.fractions[-1] == 1.0
        assert reporter.fractions[-2] == pytest.approx(0.95)

    def test_many_small_steps_are_not_all_told(self) -> None:
        board, (item,), reporter, clock = self.board("a.7z")
        for step in range(1000):
            clock.now += 0.001
            board.downloading(item, step, 1000)
        assert len(reporter.states) < 15

    def test_a_failed_file_says_why(self) -> None:
        board, (item,), reporter, _ = self.board("a.7z")
        board.downloading(item, 5, 10)
        board.failed(item, "it is gone")
        board.report()
        (state,) = reporter.states[-1]
        assert (state.phase, state.done_bytes, state.note) == (FilePhase.FAILED, 5, "it is gone")

    def test_a_request_without_files_has_a_board_too(self) -> None:
        board, _, reporter, _ = self.board()
        board.report()
        assert reporter.states == [[]]


class TestPipeline:
    def run(
        self, found: Sequence[Bundle], obtain: Any, inspect: Any, *, check: Any = lambda: None, side_by_side: int = 2
    ) -> tuple[Outcome[Any, Any], list[FileFailure]]:
        told: list[FileFailure] = []
        outcome = work_through(
            found,
            obtain=obtain,
            inspect=inspect,
            on_failure=told.append,
            signal=StopSignal(check),
            downloads=side_by_side,
            inspections=side_by_side,
        )
        return outcome, told

    def test_every_file_is_obtained_and_every_bundle_inspected(self) -> None:
        found = bundles(["b.7z.002", "x.zip", "b.7z.001"])
        outcome, told = self.run(found, lambda item: item.file.filename, lambda bundle, parts: list(parts))
        assert outcome.read == {(0, 0, 2): ["b.7z.001", "b.7z.002"], (0, 0, 1): ["x.zip"]}
        assert told == outcome.failures == []

    def test_a_single_file_needs_no_thread(self) -> None:
        threads: set[str] = set()
        self.run(
            bundles(["x.zip"]),
            lambda item: threads.add(threading.current_thread().name),
            lambda bundle, parts: threads.add(threading.current_thread().name),
        )
        assert threads == {threading.current_thread().name}

    def test_reading_goes_on_while_others_download(self) -> None:
        read = threading.Event()

        def obtain(item: Item) -> None:
            if item.file.filename == "slow.zip":
                assert read.wait(10)

        self.run(bundles(["slow.zip", "fast.zip"]), obtain, lambda bundle, parts: read.set())

    def test_all_failures_come_back_in_the_order_of_the_request(self) -> None:
        def obtain(item: Item) -> str:
            if item.file.filename.startswith("bad"):
                raise KnossosError("gone")
            return item.file.filename

        def inspect(bundle: Bundle, parts: Sequence[str]) -> None:
            if parts[0].startswith("odd"):
                raise KnossosError("odd")

        outcome, told = self.run(bundles(["odd.7z", "ok.7z", "bad.7z"], ["bad.7z.002", "bad.7z.001"]), obtain, inspect)
        failed = [failure.item.label for failure in outcome.failures]
        assert failed == ["odd.7z", "bad.7z", "bad.7z.002", "bad.7z.001"]
        assert len(told) == 4
        assert list(outcome.read) == [(0, 0, 1)]
        error = files_failed(outcome.failures, 5)
        assert error.message.splitlines()[:3] == ["4 of 5 files failed.", "odd.7z: odd", "bad.7z: gone"]
        assert error.files[0]["code"] == "error"

    @pytest.mark.parametrize("where", ["obtain", "inspect", "check"])
    def test_anything_else_ends_all_work_and_is_raised(self, where: str) -> None:
        class Bug(BaseException):
            pass

        signal_seen = threading.Event()
        signal = StopSignal(lambda: None)

        def wait_for_the_end() -> None:
            try:
                for _ in range(1000):
                    signal.check()
                    threading.Event().wait(0.01)
            finally:
                signal_seen.set()

        def obtain(item: Item) -> None:
            if item.file.filename == "slow.zip":
                wait_for_the_end()
            elif where == "obtain":
                raise Bug

        def inspect(bundle: Bundle, parts: Sequence[None]) -> None:
            if where == "inspect":
                raise Bug

        def main_check() -> None:
            if where == "check" and threading.current_thread() is threading.main_thread():
                raise Bug

        signal._check = main_check
        with pytest.raises(Bug):
            work_through(
                bundles(["slow.zip", "x.zip"]),
                obtain=obtain,
                inspect=inspect,
                on_failure=lambda failure: None,
                signal=signal,
                downloads=2,
                inspections=2,
            )
        assert signal_seen.is_set()
