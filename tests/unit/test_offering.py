"""Which yanked releases are offered still, and which versions are versions."""

from __future__ import annotations

import pytest

from knossos.publishing.offering import Need, Yanked, decide
from knossos.publishing.versions import dependency_version, release_version, satisfies

OLD, BAD = Yanked(1, "alpha", "1.0.0"), Yanked(2, "alpha", "1.1.0")


def test_a_yanked_release_that_nobody_needs_is_not_offered() -> None:
    assert decide([OLD], {}, []) == set()
    assert decide([OLD], {}, [Need(9, "alpha", "2.0.0", True)]) == set()


def test_a_yanked_release_is_offered_while_it_alone_is_what_somebody_asks_for() -> None:
    exact = [Need(9, "alpha", "1.0.0", True)]
    assert decide([OLD, BAD], {"alpha": ["2.0.0"]}, exact) == {1}
    assert decide([OLD, BAD], {"alpha": ["2.0.0"]}, [Need(9, "alpha", ">=1.0.0", True)]) == set()
    assert decide([OLD, BAD], {"alpha": ["2.0.0"]}, [Need(9, "alpha", "~1.0.0", True)]) == {1}
    assert decide([OLD, BAD], {}, [Need(9, "alpha", None, True)]) == {1, 2}


def test_what_is_not_offered_itself_keeps_nothing() -> None:
    assert decide([OLD], {}, [Need(9, "alpha", "1.0.0", False)]) == set()


def test_a_yanked_release_keeps_another_only_while_it_is_kept_itself() -> None:
    beta = Yanked(3, "beta", "1.0.0")
    needs = [Need(3, "alpha", "1.0.0", None)]
    assert decide([OLD, beta], {}, needs) == set()
    assert decide([OLD, beta], {}, [*needs, Need(9, "beta", None, True)]) == {1, 3}


def test_yanked_releases_that_need_only_each_other_are_not_offered() -> None:
    beta = Yanked(3, "beta", "1.0.0")
    needs = [Need(3, "alpha", "1.0.0", None), Need(1, "beta", None, None)]
    assert decide([OLD, beta], {}, needs) == set()


@pytest.mark.parametrize("text", ["1.2.3", "0.0.0", "1.2.3-rc.1", "24.3.0-20240901", "1.0.0-RC1", "2147483647.0.0"])
def test_three_integers_and_an_optional_pre_release_are_a_version(text: str) -> None:
    assert release_version(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "3.7", "1.2.3.4", "v1.2.3", "1.2.x", "01.2.3", "1.2.3-", "1.2.3-rc..1", "1.2.3-01", "1.2.3+build"),
        *("1.2.-3", "2147483648.0.0", "1.2.3-" + "a" * 100, "\u0661.2.3", "1.2.3\n4", "1/2/3"),
    ],
)
def test_anything_else_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        release_version(text)


@pytest.mark.parametrize("text", ["1.2.3", "~1.2.3", ">=1.2.3", "<=1.2.3", ">1.2.3", "<1.2.3", ">= 1.2.3-rc.1"])
def test_dependencies_ask_for_a_version_as_the_mod_managers_understand_it(text: str) -> None:
    assert dependency_version(text) == text.replace(" ", "")


@pytest.mark.parametrize(
    "text",
    ["*", "==1.2.3", "!=1.2.3", "^1.2.3", ">=1.2", "1.2.x", ">=1.0.0,<2.0.0", "~", "~~1.2.3", "=1.2.3", "latest"],
)
def test_other_ways_to_ask_for_a_version_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the mod managers understand nothing else"):
        dependency_version(text)


def test_versions_satisfy_what_is_asked_for() -> None:
    assert satisfies("1.2.9", "~1.2.3")
    assert not satisfies("1.3.0", "~1.2.3")
    assert satisfies("1.0.0-rc.1", "1.0.0-rc.1")
    assert not satisfies("1.0.1", "1.0.0")
    assert satisfies("0.1.0", None)
