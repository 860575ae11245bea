"""Environment expressions: what is accepted, what they mean, and when two packages can never meet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.packaging.description import environment as env


@pytest.mark.parametrize(
    ("text", "present", "expected"),
    [
        ("windows", {"windows"}, True),
        ("windows && X86_64 && (sse || sse2)", {"windows", "x86_64", "sse2"}, True),
        ("windows && X86_64 && (sse || sse2)", {"windows", "x86_64"}, False),
        ("!windows", {"linux"}, True),
        ("linux || windows && avx", {"linux"}, True),
        ("(linux || windows) && avx", {"linux"}, False),
        ("!!linux", {"linux"}, True),
        ("!(linux && avx)", {"linux"}, True),
        ("  SSE4.1  ", {"sse4_1"}, True),
    ],
)
def test_an_expression_holds_where_it_should(text: str, present: set[str], expected: bool) -> None:
    assert env.holds(env.parse(text), frozenset(present)) is expected


@pytest.mark.parametrize(
    "text",
    ["windoofs", "windows &&", "&& windows", "windows linux", "(windows", "windows)", "windows & linux", "!", "()",
     "windows | linux", "sse9", "a" * 2000, "(" * 100 + "linux" + ")" * 100, "!" * 500 + "linux", "windows; rm"],
)  # fmt: skip
def test_a_broken_expression_or_an_unknown_word_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no operating system|missing"):
        env.parse(text)


def test_an_unknown_word_is_answered_with_all_known_ones() -> None:
    with pytest.raises(ValueError, match="beos") as caught:
        env.parse("beos")
    assert [word for word in env.SYSTEMS | env.CPU_FEATURES if word not in str(caught.value)] == []


def test_an_expression_is_kept_as_it_was_written() -> None:
    assert env.expression_text("  windows && X86_64 ") == "windows && X86_64"
    assert env.expression_text("   ") == ""


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("windows", "linux", True),
        ("windows", "windows && avx", False),
        ("windows && avx", "windows && !avx", True),
        ("windows && (avx || avx2)", "windows && !avx && !avx2", True),
        ("", "windows", False),
        ("!windows", "!linux", False),
        ("macos", "macosx", False),
        ("windows && !windows", "linux", True),
    ],
)
def test_two_packages_that_no_computer_can_take_both_are_told_apart(first: str, second: str, expected: bool) -> None:
    assert env.never_together(first, second) is expected
    assert env.never_together(second, first) is expected


def test_very_many_words_are_not_worked_out() -> None:
    many = " && ".join(sorted(env.CPU_FEATURES)[:30])
    assert env.never_together(many, f"!({many})") is False


@given(st.text(alphabet="!&|() windowslinuxavx2.", max_size=60))
def test_any_text_is_either_an_expression_or_refused(text: str) -> None:
    try:
        node = env.parse(text)
    except ValueError:
        return
    assert env.words(node)
