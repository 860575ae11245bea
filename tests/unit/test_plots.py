"""Numbers of what calculations print, axes, the points that a line needs, and the drawing."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET

import pytest

from knossos.line_patterns import read_pattern
from knossos.scripting.calculations.plot import MAX_VALUES, PlotSeries, fingerprint, lines_of, read_values
from knossos.web.plot_scale import number_axis, thinned, value_axis, written
from knossos.web.plots import Line, plot, summary

MINUS = "\N{MINUS SIGN}"
SERIES = (
    PlotSeries("Energy", "hartree", read_pattern(r"E = (\S+)")),
    PlotSeries("Change", "", read_pattern(r"dE = (\S+)")),
)


def test_numbers_are_found_wherever_the_pieces_of_a_text_begin_and_end() -> None:
    text = "start\nE = -1.5\nnothing\r10 %\rE = -2D+0\r\ndE = 0.5\nE = x\nE = 7"
    for size in range(1, 12):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        found = read_values(SERIES, pieces)
        assert found.series == ([-1.5, -2.0, 0.5, 7.0], [0.5])
        assert found.last == (7.0, 0.5)


def test_a_line_without_an_end_takes_no_memory_and_no_time() -> None:
    endless = ("x" * 65536 for _ in range(400))
    assert [len(line) for line in lines_of(endless)] == [400]


def test_reading_ends_when_its_time_is_over_and_says_so() -> None:
    found = read_values(SERIES, (f"E = {number}\n" for number in itertools.count()), seconds=0.05)
    assert found.cut
    assert found.series[0][:3] == [0.0, 1.0, 2.0]
    assert found.last == (None, None), "the last one that there is was not read"


def test_more_numbers_than_are_kept_are_told_of() -> None:
    found = read_values(SERIES[:1], (f"E = {number}\n" for number in range(MAX_VALUES)), seconds=1000)
    assert (len(found.series[0]), found.cut, found.last) == (MAX_VALUES, False, (MAX_VALUES - 1.0,))
    found = read_values(SERIES[:1], (f"E = {number}\n" for number in range(MAX_VALUES + 5)), seconds=1000)
    assert (len(found.series[0]), found.cut) == (MAX_VALUES, True)


def test_other_patterns_have_another_fingerprint() -> None:
    assert fingerprint(SERIES) != fingerprint(SERIES[:1])
    assert fingerprint(SERIES) == fingerprint(tuple(SERIES))


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (-242.0869, -241.9434, ["-242.05", "-242.00", "-241.95"]),
        (0.0, 1.0, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-1.0, 1.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (5.0, 5.0, ["4.996", "4.998", "5.000", "5.002", "5.004"]),
        (0.0, 0.0, ["-1.0", "-0.5", "0.0", "0.5", "1.0"]),
        (1e9, 3e9, ["1.0e9", "1.5e9", "2.0e9", "2.5e9", "3.0e9"]),
        (1e-9, 3e-9, ["1.0e-9", "1.5e-9", "2.0e-9", "2.5e-9", "3.0e-9"]),
        (-1.00004, -1.00001, ["-1.00004", "-1.00003", "-1.00002", "-1.00001"]),
    ],
)  # fmt: skip
def test_the_marks_of_an_axis_are_round_and_have_the_digits_that_tell_them_apart(
    low: float, high: float, texts: list[str]
) -> None:
    axis = value_axis(low, high, 6)
    assert [text.replace(MINUS, "-") for _, text in axis.marks] == texts
    assert axis.low <= low <= high <= axis.high
    assert all(0 <= axis.place(value) <= 1 for value, _ in axis.marks)


@pytest.mark.parametrize(
    ("last", "texts"), [(1, ["1", "2"]), (3, ["1", "2", "3"]), (13, ["2", "4", "6", "8", "10", "12"])]
)
def test_iterations_are_whole(last: int, texts: list[str]) -> None:
    assert [text for _, text in number_axis(1, last, 10).marks] == texts


def test_a_thinned_line_keeps_its_ends_and_its_extremes() -> None:
    points = [(number, float(number % 7)) for number in range(1, 10_001)]
    points[5000] = (5001, -99.0)
    points[7000] = (7001, 99.0)
    found = thinned(points, 300)
    assert len(found) <= 1200
    assert found == sorted(set(found))
    assert {points[0], points[-1], points[5000], points[7000]} <= set(found)
    assert thinned(points[:1200], 300) == points[:1200]


def test_a_drawing_is_whole_says_what_it_shows_and_lets_nothing_in() -> None:
    line = Line("<b>E</b>", [(1, -1.0), (2, -2.0), (3, -2.5)])
    drawings = ET.fromstring(f"<a>{plot([line, Line('none', [])], 'h&', 'p')}</a>")
    wide, narrow = drawings
    assert (wide.get("class"), narrow.get("class")) == ("plot plot-wide", "plot plot-narrow")
    for drawing in drawings:
        assert drawing.get("role") == "img"
        assert drawing[0].text == "<b>E</b>, none in h& over iterations"
        assert (drawing[1].text or "").replace(
            MINUS, "-"
        ) == "<b>E</b>: 3 values from -2.5 to -1 h&; the last one is -2.5 h&."
        assert drawing.get("aria-labelledby") == f"{drawing[0].get('id')} {drawing[1].get('id')}"
        _, _, width, height = map(float, (drawing.get("viewBox") or "").split())
        path = next(one for one in drawing.iter("path")).get("d") or ""
        places = [tuple(map(float, one.split(" "))) for one in re.findall(r"[\d.]+ [\d.]+", path)]
        assert len(places) == 3
        assert all(0 < x < width and 0 < y < height for x, y in places)
        assert [y for _, y in places] == sorted(y for _, y in places), "less is below"
        assert "style" not in {name for one in drawing.iter() for name in one.attrib}
    ids = re.findall(r'id="([^"]+)"', plot([line], "", "p"))
    assert len(ids) == len(set(ids))
    assert plot([Line("none", [])], "", "p") == ""


def test_a_line_of_ten_thousand_points_is_a_short_drawing() -> None:
    points = [(number, 1.0 / number) for number in range(1, 10_001)]
    drawn = plot([Line("E", points)], "", "p")
    assert len(drawn) < 120_000
    assert drawn.count("<circle") == 2, "the last one, in each size"
    assert summary([Line("E", points)], "") == "E: 10,000 values from 0.0001 to 1; the last one is 0.0001."


def test_values_are_written_for_people() -> None:
    assert [written(value).replace(MINUS, "-") for value in (-241.943434653, 3.0, 1e-9, -1.5e20, 0.1 + 0.2)] == [
        "-241.943434653", "3", "1e-9", "-1.5e20", "0.3",
    ]  # fmt: skip
