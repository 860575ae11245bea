"""A game's log: its lines, what stands out in it, and its pages."""

from __future__ import annotations

import pytest

from knossos.web.log_views import LINES_PER_BLOCK, LINES_PER_PAGE, MAX_SERIOUS, level_of, log_view, page_of


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('ERROR: "ship.tbl(12): expected $Name"', "error"),
        ('ASSERTION FAILED: "n >= 0" at ship.cpp:120', "error"),
        ("Fatal: out of memory", "error"),
        ('WARNING: "No texture for cruiser.pof"', "warning"),
        ("Warnings were found", ""),
        ("Loaded 0 errors and no warnings", ""),
        ("Terrorist.pof loaded", ""),
        ("  Game Initialization took 3.2 s", ""),
    ],
)
def test_serious_lines_are_told_from_the_others(line: str, level: str) -> None:
    assert level_of(line) == level


def test_lines_keep_their_numbers_whatever_ends_them() -> None:
    view = log_view("one\r\ntwo\rthree\n\nWARNING: five\n")
    assert [(line.number, line.text) for block in view.blocks for line in block] == [
        (1, "one"), (2, "two"), (3, "three"), (4, ""), (5, "WARNING: five"),
    ]  # fmt: skip
    assert (view.line_count, view.errors, view.warnings) == (5, 0, 1)


def test_a_long_log_comes_in_pages_and_its_head_names_the_worst_of_all_of_them() -> None:
    count = 2 * LINES_PER_PAGE + 10
    lines = [f"line {number}" for number in range(1, count + 1)]
    lines[5] = "WARNING: early"
    lines[-1] = "ERROR: late"
    view = log_view("\n".join(lines), page=3)
    assert (view.page, view.pages, view.line_count) == (3, 3, count)
    assert [line.number for line in view.serious] == [count, 6]
    assert sum(map(len, view.blocks)) == 10
    assert len(log_view("\n".join(lines)).blocks[0]) == LINES_PER_BLOCK
    assert [page_of(number) for number in (1, LINES_PER_PAGE, LINES_PER_PAGE + 1)] == [1, 1, 2]
    assert log_view("x", page=9).page == log_view("x", page=-1).page == 1
    assert len(log_view("error: x\n" * 100).serious) == MAX_SERIOUS
