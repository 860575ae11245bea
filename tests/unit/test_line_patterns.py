"""Patterns that find numbers in lines: what they find, what they mean, and that no line keeps them busy."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.errors import SettingsError
from knossos.line_patterns import MAX_LINE_CHARS, number_of, read_pattern
from knossos.settings import Settings, load_settings


@pytest.mark.parametrize(
    ("pattern", "line", "value"),
    [
        (r"total energy +(-?[0-9.]+)", "iteration 3: total energy -241.943", -241.943),
        (
            r"^\s*!\s+total energy\s+=\s+(?P<value>-?\d+\.\d+) Ry$",
            "!    total energy              =     -15.85 Ry",
            -15.85,
        ),
        (r"E0=\s*(\S+)", "  11 F= -.81E+01 E0= -.81063D+01  d E =-.1E-2", -8.1063),
        (r".*: (.+)", "a: b: 7", 7.0),
        (r"[Tt]otal(?: \(ev\))?[^0-9]*([0-9]+)", "Total (ev) = 12", 12.0),
        (r"(?:energy|force): (\w{1,3})", "force: 1e2", 100.0),
        (r"a\.b\\\[(\d+)\]", r"a.b\[5]", 5.0),
        (r"[^\d\s]{2,}?(\d+)", "ab12", 12.0),
        (r"total energy +(-?[0-9.]+)", "total energy none", None),
        (r"x(.*)", "x no number", None),
        (r"^x (\d+)$", "x 12 ", None),
        (r"Größe (\d+)", "Größe 3", 3.0),
    ],
)
def test_a_pattern_finds_its_number(pattern: str, line: str, value: float | None) -> None:
    assert read_pattern(pattern).value(line) == value


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("", "expected 1 to 300 characters"),
        ("x" * 301, "expected 1 to 300 characters"),
        ("no group", "expected one group for the value"),
        ("(a)(b)", "it has 2"),
        ("(a", "character 1: this group is not closed"),
        ("a)(b)", "character 2: this closes nothing"),
        ("[a(b)", "character 1: this class is not closed"),
        ("[](b)", "expected a class with something in it"),
        ("[z-a](b)", "expected a range such as 0-9"),
        ("(?=a)(b)", "of groups there are (...), (?P<value>...) and (?:...) only"),
        ("(?P<a b>b)", "expected a group with a name"),
        (r"\b(a)", r"character 2: \b is not known here"),
        (r"(a)\1", r"\1 is not known here"),
        ("(?:a)*(b)", "only ? may follow a group"),
        ("a**(b)", "expected one repeat, not several"),
        ("+(a)", "character 1: there is nothing here to repeat"),
        ("a{5,2}(b)", "the second number of {2,5} is the larger one"),
        ("a{,2}(b)", "expected {2}, {2,} or {2,5}"),
        ("(a)^b", "^ is expected at the beginning only"),
        ("(a$)b", "$ is expected at the end only"),
        ("(a)$b", "$ is expected at the end only"),
        ("(a)\\", "something is missing at the end"),
        ("(a)\U0001f600", "this character cannot be in a pattern"),
        # What takes other engines years.
        ("(a*)*b", "only ? may follow a group"),
        (".*.*(b)", "in too many ways"),
        (r"\s*\s*\s*(b)", "in too many ways"),
        ("a?" * 30 + "(a)", "in too many ways"),
        ("(?:a|ab)" * 12 + "(c)", "in too many ways"),
        ("[a-c]+[b-d]+[c-e]+(f)", "in too many ways"),
    ],
)
def test_a_pattern_that_may_not_be_is_refused_with_its_place(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        read_pattern(pattern)


@given(
    st.from_regex(r"[ab.]{1,3}([*+?]|\{1,3\})?[ab][ab]?([*+?])?(\([ab]+\)|\([ab]*c\))\$?", fullmatch=True),
    st.text("abc", max_size=9),
)
def test_what_is_taken_means_what_python_means_by_it(pattern: str, line: str) -> None:
    try:
        found = read_pattern(pattern)
    except ValueError:
        return
    ours, theirs = found.regex.search(line), re.search(pattern, line)
    assert (ours and (ours.span(), ours[1])) == (theirs and (theirs.span(), theirs[1]))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("-.5", -0.5), ("3.", 3.0), ("-0.24D+03", -240.0), ("1e-3", 0.001), (" 7 ", 7.0)]
    + [(text, None) for text in ("", ".", "1e", "nan", "inf", "1_0", "0x1", "1e999", "٣", "1" * 500)],
)
def test_numbers_are_those_that_programs_print(text: str, value: float | None) -> None:
    assert number_of(text) == value


def test_of_a_long_line_its_beginning_is_looked_at() -> None:
    pattern = read_pattern(r"e (\d)")
    assert pattern.value("e 1" + "x" * 10_000_000) == 1.0
    assert pattern.value("x" * MAX_LINE_CHARS + "e 1") is None


LINE = {"pattern": r"e (\d+)", "label": "Energy", "unit": "hartree"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("e (.)", "expected a tuple of at most 8 dictionaries"),
        ([LINE] * 9, "expected a tuple of at most 8"),
        ([LINE, {"pattern": "e"}], "line 2: expected a dictionary with pattern, label and perhaps unit"),
        ([{**LINE, "color": "red"}], "line 1: expected a dictionary with pattern, label and perhaps unit"),
        ([{**LINE, "label": " "}], "line 1: label: expected a text"),
        ([{**LINE, "unit": 3}], "line 1: label, unit: expected texts"),
        ([{**LINE, "pattern": 3}], "line 1: pattern: expected a text"),
        ([{**LINE, "pattern": ".*.*(a)"}], "line 1: pattern: it may match one line in too many ways"),
    ],
)
def test_a_plot_that_cannot_be_is_refused_when_the_server_starts(value: object, says: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "settings.py"
    file.write_text(f"CALCULATION_PLOT = {value!r}\n")
    with pytest.raises(SettingsError, match="CALCULATION_PLOT: .*" + re.escape(says)):
        load_settings({"KNOSSOS_SETTINGS": str(file), "KNOSSOS_DATA": str(tmp_path)})


def test_a_plot_of_several_lines_is_taken() -> None:
    lines = [LINE, {"pattern": "f (.)", "label": "Force"}]
    assert Settings(calculation_plot=lines).calculation_plot == tuple(lines)
