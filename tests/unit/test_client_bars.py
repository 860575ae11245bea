"""What the client draws."""

from __future__ import annotations

import io
from typing import Any

import pytest

from knossos.client.bars import bar, draw_bars, duration, fit, plain, size
from knossos.client.screens import BarScreen, LineScreen


def file(name: str, phase: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "phase": phase, "done_bytes": 0, "total_bytes": None, **more}


def test_bars_fill_by_eighths_and_never_overflow() -> None:
    assert bar(0) == "▕" + " " * 24 + "▏"
    assert bar(1) == bar(7.5) == "▕" + "█" * 24 + "▏"
    assert bar(0.5 + 1 / 192) == "▕" + "█" * 12 + "▏" + " " * 11 + "▏"
    assert bar(-1) == bar(0)


@pytest.mark.parametrize("columns", [10, 40, 200])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    files = [file("战" * 300, "downloading", note="x" * 300, total_bytes=100, done_bytes=50)]
    for line in draw_bars((0.5, "語" * 300), files, columns, 24):
        assert sum(2 if letter in "战語" else 1 for letter in line) < columns


def test_files_that_are_worked_on_come_first_and_the_rest_is_counted() -> None:
    files = [file("done.7z", "done"), *(file(f"w{n}", "waiting") for n in range(20)), file("now.7z", "inspecting")]
    lines = draw_bars((0, ""), files, 80, 12)
    assert len(lines) == 10
    assert "now.7z" in lines[1]
    assert lines[-1] == "... and 14 more files"


def test_numbers_are_for_people() -> None:
    assert [size(n) for n in (0, 1023, 1536, 3 * 2**20, 5 * 2**30)] == [
        "0 B",
        "1023 B",
        "1.5 KiB",
        "3.0 MiB",
        "5.00 GiB",
    ]
    assert [duration(n) for n in (0, 59.4, 61, 3700)] == ["0 s", "59 s", "1:01 min", "1:01 h"]


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x07\u202ec\nd") == "a [2Jb  c d"
    assert fit("abc", 2) == "ab"


def test_bars_are_drawn_below_the_log_and_removed_at_the_end() -> None:
    stream = io.StringIO()
    screen = BarScreen(stream, io.StringIO())
    screen.show("progress", [0.5, "half"])
    screen.show("log_message", ["INFO: one"])
    screen.close()
    text = stream.getvalue()
    assert text.index("half") < text.index("\x1b[1F\x1b[J") < text.index("INFO: one\n") < text.rindex("half")
    assert text.endswith("\x1b[1F\x1b[J")


def test_no_bars_are_drawn_once_the_task_has_ended() -> None:
    stream = io.StringIO()
    screen = BarScreen(stream, io.StringIO())
    screen.show("progress", [1.0, "all"])
    screen.show("done", [True])
    screen.note("Task 3 is done.")
    assert stream.getvalue().endswith("\x1b[JTask 3 is done.\n")


def test_plain_lines_tell_progress_in_steps_and_phases_once() -> None:
    stream = io.StringIO()
    screen = LineScreen(stream, io.StringIO())
    for hundredth in range(101):
        screen.show("progress", [hundredth / 100, "reading"])
    for done in range(5):
        screen.show("files", [[file("a.7z", "downloading", done_bytes=done)]])
    lines = stream.getvalue().splitlines()
    assert lines.count("a.7z: downloading") == 1
    assert 10 <= len(lines) <= 13
    assert "[100%] reading" in lines


@pytest.mark.parametrize("kind", [BarScreen, LineScreen])
def test_what_a_script_writes_is_shown_line_by_line_and_its_errors_apart(kind: type[LineScreen]) -> None:
    told, output = io.StringIO(), io.StringIO()
    screen = kind(told, output)
    for source, text in (("stdout", "3 th"), ("stderr", "careful\n"), ("stdout", "e\n2 \x1b[2Jover\nthe e")):
        screen.show("output", [source, text])
    assert output.getvalue() == "3 the\n2  [2Jover\n"
    screen.show("done", [True])
    screen.close()
    assert output.getvalue() == "3 the\n2  [2Jover\nthe e\n"
    assert "careful\n" in told.getvalue()
    assert "over" not in told.getvalue()
