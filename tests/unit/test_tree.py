"""The tree in memory: placing, matching and clashes."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.packaging.tree import Origin, Tree, clashes


def origin(path: str, *, package: int = 0, archive: str = "a.7z") -> Origin:
    return Origin(
        package=package, file=0, archive=archive, name=path, placed=path, size=1, md5="0" * 32, sha256="0" * 64
    )


def tree_of(*paths: str) -> Tree:
    tree = Tree()
    for path in paths:
        tree.add(origin(path))
    return tree


def paths_of(tree: Tree) -> list[str]:
    return [path for path, _ in tree.files()]


def meets_always(first: int, second: int) -> bool:
    return True


def test_files_are_listed_by_path_whatever_order_they_came_in() -> None:
    assert paths_of(tree_of("b", "a/z", "a/b/c", "a/a")) == ["a/a", "a/b/c", "a/z", "b"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.txt", "b.vp", "data", "x[1].txt"]),
        (".*", [".hidden"]),
        ("*.txt", ["a.txt", "x[1].txt"]),
        ("?.txt", ["a.txt"]),
        ("?hidden", []),
        ("[.]hidden", []),
        ("data/*", ["data/maps", "data/one.tbl"]),
        ("data*one.tbl", []),
        ("*/*", ["data/maps", "data/one.tbl"]),
        ("**/one.tbl", ["data/one.tbl"]),
        ("*/maps/?.dds", ["data/maps/m.dds"]),
        ("data/.*", ["data/.git"]),
        ("data", ["data"]),
        ("x[1].txt", ["x[1].txt"]),
        ("x[1].*", ["x[1].txt"]),
        ("x[[]1].txt", []),
        ("[ab].*", []),
        ("[!a].*", []),
        ("A.TXT", []),
        ("missing", []),
        ("a.txt/b", []),
        ("[", []),
    ],
)
def test_a_pattern_matches_what_the_protocol_says(pattern: str, expected: list[str]) -> None:
    tree = tree_of("a.txt", "b.vp", ".hidden", "data/one.tbl", "data/maps/m.dds", "data/.git/config", "x[1].txt")
    assert tree.match(pattern) == expected


@given(st.text("ab.*?", min_size=1, max_size=8), st.lists(st.text("ab.", min_size=1, max_size=5), max_size=5))
def test_stars_and_question_marks_mean_what_a_shell_means(pattern: str, names: list[str]) -> None:
    names = sorted({name for name in names if name.strip(".")})
    expected = [
        name
        for name in names
        if fnmatch.fnmatchcase(name, pattern) and (not name.startswith(".") or pattern.startswith("."))
    ]
    assert tree_of(*names).match(pattern) == expected


def test_a_pattern_full_of_stars_takes_no_ages() -> None:
    assert tree_of("a" * 200).match("*a" * 100 + "b") == []


def test_the_same_path_in_two_archives_is_a_clash_that_names_both() -> None:
    tree = tree_of("x", "y")
    tree.add(origin("x", archive="b.7z"))
    (clash,) = clashes(tree.files(), meets_always)
    assert (clash.path, {clash.first.archive, clash.second.archive}) == ("x", {"a.7z", "b.7z"})


def test_a_file_where_another_archive_has_a_folder_is_a_clash() -> None:
    tree = tree_of("data/x", "data/y/z")
    tree.add(origin("data/y", archive="b.7z"))
    (clash,) = clashes(tree.files(), meets_always)
    assert {(clash.path, clash.first.archive), (clash.other_path, clash.second.archive)} == {
        ("data/y", "b.7z"),
        ("data/y/z", "a.7z"),
    }


def test_paths_that_differ_only_in_case_are_one_file_for_players() -> None:
    assert len(clashes(tree_of("Data/X", "data/x").files(), meets_always)) == 1
    assert clashes(tree_of("Data/X", "data/y").files(), meets_always) == []


def test_packages_that_never_meet_may_hold_the_same_path() -> None:
    tree = Tree()
    tree.add(origin("x", package=0))
    tree.add(origin("x", package=1))
    assert clashes(tree.files(), lambda first, second: False) == []


def test_very_many_clashes_are_not_all_looked_for() -> None:
    tree = tree_of(*["x"] * 20_000)
    assert len(clashes(tree.files(), meets_always)) == 50


def test_a_path_deeper_than_the_stack_is_walked() -> None:
    deep = "/".join(["d"] * 3000)
    tree = tree_of(deep)
    assert paths_of(tree) == paths_of(tree.copy()) == [deep]
