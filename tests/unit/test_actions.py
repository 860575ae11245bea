"""delete, move, copy and mkdir, on trees in memory."""

from __future__ import annotations

from typing import Any

import pytest

from knossos.packaging.actions import ActionImpossible, apply_actions
from knossos.packaging.description import Action
from knossos.packaging.tree import clashes
from tests.unit.test_tree import meets_always, origin, paths_of, tree_of


def after(paths: list[str], *actions: dict[str, Any]) -> list[str]:
    tree = tree_of(*paths)
    apply_actions(tree, [Action(**action) for action in actions])
    return paths_of(tree)


def warnings_of(paths: list[str], *actions: dict[str, Any]) -> list[str]:
    return apply_actions(tree_of(*paths), [Action(**action) for action in actions])


def delete(*paths: str, **more: Any) -> dict[str, Any]:
    return {"type": "delete", "paths": list(paths), **more}


def move(*paths: str, dest: str, **more: Any) -> dict[str, Any]:
    return {"type": "move", "paths": list(paths), "dest": dest, **more}


def copy(*paths: str, dest: str, **more: Any) -> dict[str, Any]:
    return {"type": "copy", "paths": list(paths), "dest": dest, **more}


def mkdir(*paths: str) -> dict[str, Any]:
    return {"type": "mkdir", "paths": list(paths)}


def test_a_single_file_is_deleted() -> None:
    assert after(["a", "b"], delete("a")) == ["b"]


def test_a_folder_is_deleted_with_everything_in_it() -> None:
    assert after(["d/a", "d/e/b", "c"], delete("/d/")) == ["c"]


def test_delete_after_move_finds_the_folder_that_is_left() -> None:
    assert after(["d/a", "b"], move("d/*", dest=""), delete("d")) == ["a", "b"]


def test_a_single_file_is_copied() -> None:
    assert after(["a"], copy("a", dest="b")) == ["a", "b"]
    assert after(["a", "d/x"], copy("a", dest="d")) == ["a", "d/a", "d/x"]


def test_moving_onto_a_folder_moves_into_it() -> None:
    assert after(["a", "d/x"], move("a", dest="d")) == ["d/a", "d/x"]
    assert after(["e/a", "d/x"], move("e", dest="d")) == ["d/e/a", "d/x"]
    assert after(["a"], mkdir("d/e"), move("a", dest="d/e")) == ["d/e/a"]


def test_moving_to_a_new_name_renames() -> None:
    assert after(["a"], move("a", dest="deep/er/b")) == ["deep/er/b"]
    assert after(["mod/x"], move("mod", dest="data")) == ["data/x"]


def test_several_things_a_pattern_or_a_slash_at_the_end_make_the_folder() -> None:
    assert after(["a", "b"], move("a", "b", dest="c")) == ["c/a", "c/b"]
    assert after(["a.vp"], move("*.vp", dest="vps")) == ["vps/a.vp"]
    assert after(["a[1]"], move("a[1]", dest="b")) == ["b"]
    assert after(["a.vp", "b.vp"], move("*.vp", dest="vps")) == ["vps/a.vp", "vps/b.vp"]
    assert after(["a.vp"], move("a.vp", dest="vps/")) == ["vps/a.vp"]


def test_everything_into_a_folder_leaves_the_folder_itself() -> None:
    assert after(["a", "d/x"], move("*", dest="d")) == ["d/a", "d/x"]
    assert after(["a", "d/e/x"], move("*", dest="d/e")) == ["d/e/a", "d/e/x"]
    assert after(["a", "b"], mkdir("d"), copy("*", dest="d")) == ["a", "b", "d/a", "d/b"]


@pytest.mark.parametrize("kind", [move, copy])
def test_onto_an_existing_file_is_an_error(kind: Any) -> None:
    for action in (kind("a", dest="b"), kind("a", dest="d"), kind("a", "b", dest="c")):
        with pytest.raises(ActionImpossible, match="existing file"):
            after(["a", "b", "c", "d/a"], action)


def test_the_error_names_the_action() -> None:
    with pytest.raises(ActionImpossible, match=r"action 2 \(move\)") as caught:
        after(["a", "b"], mkdir("x"), move("a", dest="b"))
    assert caught.value.action == 1


def test_folders_of_the_same_name_become_one() -> None:
    assert after(["m/data/a", "data/b"], move("m/*", dest="")) == ["data/a", "data/b"]
    with pytest.raises(ActionImpossible, match="data/a is an existing file"):
        after(["m/data/a", "data/a"], move("m/*", dest=""))


def test_a_file_onto_a_folder_of_its_name_is_an_error() -> None:
    with pytest.raises(ActionImpossible, match="existing folder"):
        after(["m/data", "data/a"], move("m/*", dest=""))


def test_nothing_goes_into_a_file() -> None:
    for action in (move("a", dest="b/c"), copy("a", dest="b/c/d"), mkdir("b/c"), mkdir("b"), move("a", dest="b/")):
        with pytest.raises(ActionImpossible, match="existing file"):
            after(["a", "b"], action)


def test_a_folder_does_not_go_into_itself_but_a_copy_may() -> None:
    with pytest.raises(ActionImpossible, match="into itself"):
        after(["d/a"], move("d", dest="d/e"))
    assert after(["d/a"], copy("d", dest="d/e")) == ["d/a", "d/e/a"]


def test_what_is_in_place_already_stays() -> None:
    assert after(["d/a"], move("d/a", dest="d")) == ["d/a"]


def test_glob_false_takes_names_literally() -> None:
    assert after(["*", "a"], delete("*", glob=False)) == ["a"]
    assert after(["[x]", "x"], move("[x]", dest="y", glob=False)) == ["x", "y"]


def test_dest_is_never_a_pattern() -> None:
    assert after(["a", "d1/x"], move("a", dest="d[1]")) == ["d1/x", "d[1]"]


def test_what_matches_nothing_is_a_warning() -> None:
    assert warnings_of(["a"], delete("b"), move("*.vp", dest="x"), delete("c", glob=False)) == [
        "action 1 (delete): nothing matches b",
        "action 2 (move): nothing matches *.vp",
        "action 3 (delete): nothing matches c",
    ]


def test_a_literal_path_that_is_not_there_cannot_be_moved() -> None:
    with pytest.raises(ActionImpossible, match="there is no b"):
        after(["a"], move("b", dest="c", glob=False))


def test_a_folder_and_a_path_in_it_are_moved_once() -> None:
    assert after(["d/a", "d/b"], move("d", "d/a", dest="x")) == ["x/d/a", "x/d/b"]


def test_an_action_can_resolve_a_clash() -> None:
    tree = tree_of("x", "y")
    tree.add(origin("x", archive="b.7z"))
    apply_actions(tree, [Action(**delete("x"))])
    assert paths_of(tree) == ["y"]
    assert clashes(tree.files(), meets_always) == []


def test_copies_of_copies_end_before_memory_does() -> None:
    with pytest.raises(ActionImpossible, match="at most 200,000"):
        after(["a", "b"], *[copy("*", dest=f"d{number}") for number in range(40)])


def test_paths_do_not_grow_without_end() -> None:
    with pytest.raises(ActionImpossible, match="longer than"):
        after(["a/x"], *[move("*", dest=f"{number:0150}/y/") for number in range(1, 40)])
