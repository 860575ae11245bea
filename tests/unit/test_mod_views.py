"""What the pages of mods say in words."""

from __future__ import annotations

import pytest

from knossos.web.mod_views import initials, requirement


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


def test_a_picture_that_is_missing_is_stood_in_for() -> None:
    assert [initials(title) for title in ("Starlit Passage", "  x", "(The) Blue", "***", "")] == [
        "SP",
        "X",
        "B",
        "?",
        "?",
    ]
