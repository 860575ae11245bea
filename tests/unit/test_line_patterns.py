"""Patterns that find numbers in lines: what they find, what they mean, and that no line keeps them busy."""

from __future__ import annotations

import re

import pytest

from knossos.errors import SettingsError
from knossos.line_patterns import MAX_LINE_CHARS, number_of, read_pattern
from knossos.settings import Settings
from knossos.settings_file import load_settings


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
        ("(?i)ENERGY (.)", "energy 3", 3.0),
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
        ("(a", "missing )"),
        ("[z-a](b)", "invalid character class range"),
        ("(?=a)(b)", "expected a regular expression of RE2"),
        (r"(a)\1", "invalid escape sequence"),
        ("a**(b)", "bad repetition operator"),
    ],
)
def test_a_pattern_that_may_not_be_is_refused_with_the_reason(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        read_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(?:a|a)*.*.*(b)", r"\s*\s*\s*(b)", "a?" * 30 + "a" * 30 + "(b)"])
def test_no_line_keeps_a_pattern_busy(pattern: str) -> None:
    """With Python's own each of these would take years; it takes milliseconds, or this test does not end."""
    found = read_pattern(pattern)
    for _ in range(100):
        assert found.value("a" * MAX_LINE_CHARS) is None
        assert found.value(" " * MAX_LINE_CHARS) is None


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
        ([{**LINE, "pattern": "(a"}], "line 1: pattern: expected a regular expression of RE2: missing )"),
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
