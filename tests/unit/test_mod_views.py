"""What the pages of mods say in words."""

from __future__ import annotations

import pytest

from knossos.web.mod_views import counted, day, initials, requirement, size


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, "any version"),
        ("1.2.3", "exactly 1.2.3"),
        (">=1.2.3", "1.2.3 or newer"),
        ("<=1.2.3", "1.2.3 or older"),
        (">1.2.3", "newer than 1.2.3"),
        ("<2.0.0-rc.1", "older than 2.0.0-rc.1"),
        ("~1.2.3", "1.2.3 or its newest patch"),
    ],
)
def test_the_version_of_a_dependency_is_said_in_words(version: str | None, words: str) -> None:
    assert requirement(version) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (412_300_000, "412 MB"), (999_500, "1.00 MB")],
)
def test_sizes_have_three_digits(value: int, text: str) -> None:
    assert size(value) == text


def test_a_picture_that_is_missing_is_stood_in_for() -> None:
    assert [initials(title) for title in ("Starlit Passage", "  x", "(The) Blue", "***", "")] == [
        "SP",
        "X",
        "B",
        "?",
        "?",
    ]


def test_days_and_counts() -> None:
    assert day("2026-11-02") == "2 Nov 2026"
    assert (day(None), day("someday")) == ("", "someday")
    assert (counted(1, "mod"), counted(1200, "mod")) == ("1 mod", "1,200 mods")
