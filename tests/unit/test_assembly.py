"""What becomes of the contents of a mod's archives: placing, actions, mod.ini, logo, clashes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from knossos.packaging.actions import ActionImpossible
from knossos.packaging.assembly import Assembly, Contents, FilesClash, assemble
from knossos.packaging.description import parse_request
from knossos.packaging.tree import MAX_NODES, TreeTooBig


@dataclass(frozen=True)
class FakeEntry:
    name: str
    size: int = 3
    md5: str = "a" * 32
    sha256: str = "b" * 64


def archive(*names: str) -> Contents:
    return Contents(size=9, md5="c" * 32, sha256="d" * 64, entries=[FakeEntry(name) for name in names])


PLAIN = Contents(size=9, md5="e" * 32, sha256="f" * 64, entries=None)


def assembled(
    *packages: dict[str, Any], contents: dict[tuple[int, int], Contents], most: int = MAX_NODES, **mod: Any
) -> Assembly:
    named = [
        {
            "name": f"P{number}",
            **package,
            "files": [{"urls": ["https://example.org/x"], **file} for file in package["files"]],
        }
        for number, package in enumerate(packages)
    ]
    request = parse_request(json.dumps({"id": "m", "title": "M", "version": "1.0.0", "packages": named, **mod}))
    return assemble(request.mods[0], contents, most)


def one(*names: str, dest: str = "", **mod: Any) -> Assembly:
    package = {"files": [{"filename": "a.7z", "dest": dest}]}
    return assembled(package, contents={(0, 0): archive(*names)}, **mod)


def paths(assembly: Assembly, package: int = 0) -> list[str]:
    return [path for path, _ in assembly.filelists[package]]


def test_a_mod_has_no_more_files_folders_and_path_characters_than_is_allowed() -> None:
    def with_at_most(most: int, *names: str, dest: str = "") -> None:
        packages = [{"files": [{"filename": "a.7z", "dest": dest}]}]
        assembled(*packages, contents={(0, 0): archive(*names)}, most=most)

    with_at_most(3, "a/b/c")
    with pytest.raises(TreeTooBig):
        with_at_most(2, "a/b/c")
    with_at_most(3, "a", "b", dest="d" * 140)
    with pytest.raises(TreeTooBig):
        with_at_most(4, *"abc", dest="d" * 200)


def test_files_of_one_archive_that_actions_put_at_one_path_are_told_from_two_archives() -> None:
    with pytest.raises(FilesClash) as caught:
        one("a", "d/x", actions=[{"type": "copy", "paths": ["a"], "dest": "D/X", "glob": False}])
    assert caught.value.message.startswith("Actions of m put files of one archive at the same path:")


def test_an_archive_is_unpacked_to_its_dest() -> None:
    assembly = one("x.tbl", "y/z", dest="data")
    assert paths(assembly) == ["data/x.tbl", "data/y/z"]
    assert [origin.name for _, origin in assembly.filelists[0]] == ["x.tbl", "y/z"]


def test_a_file_that_is_no_archive_lies_at_its_dest_as_it_is() -> None:
    package = {"files": [{"filename": "readme.txt", "is_archive": False, "dest": "docs"}]}
    ((path, origin),) = assembled(package, contents={(0, 0): PLAIN}).filelists[0]
    assert (path, origin.name, origin.archive, origin.md5) == ("docs/readme.txt", None, "readme.txt", "e" * 32)


def test_files_go_to_the_list_of_their_package() -> None:
    packages = [{"files": [{"filename": "a.7z"}]}, {"files": [{"filename": "a.7z"}]}]
    assembly = assembled(*packages, contents={(0, 0): archive("one"), (1, 0): archive("two")})
    assert [paths(assembly, 0), paths(assembly, 1)] == [["one"], ["two"]]


def test_a_mod_ini_that_lies_too_deep_comes_up_with_everything_beside_it() -> None:
    assembly = one("My[1]/mod.ini", "My[1]/data/x", "My[1]/.hidden", "readme.txt")
    assert paths(assembly) == [".hidden", "data/x", "mod.ini", "readme.txt"]
    assert assembly.actions[-1].model_dump() == {
        "type": "move",
        "glob": True,
        "paths": ["My[1]/*", "My[1]/.*"],
        "dest": "",
    }
    assert "mod.ini lies in My[1]" in assembly.warnings[0]


def test_the_added_action_can_be_sent_in_again() -> None:
    first = one("Sub/mod.ini", "Sub/x")
    again = one("Sub/mod.ini", "Sub/x", actions=[action.model_dump() for action in first.actions])
    assert paths(again) == paths(first)
    assert again.warnings == ["action 1 (move): nothing matches Sub/.*"]
    assert len(again.actions) == 1


@pytest.mark.parametrize(
    "actions",
    [
        [{"type": "move", "paths": ["Sub/*"], "dest": ""}],
        [{"type": "move", "paths": ["Sub"], "dest": "Elsewhere"}],
        [{"type": "delete", "paths": ["*/mod.ini"]}],
    ],
)
def test_a_mod_ini_that_an_action_cares_for_is_left_to_it(actions: list[dict[str, Any]]) -> None:
    assembly = one("Sub/mod.ini", "Sub/x", actions=actions)
    assert len(assembly.actions) == 1
    assert assembly.warnings == []


def test_a_mod_ini_at_the_top_is_the_one() -> None:
    assembly = one("mod.ini", "other/mod.ini")
    assert (assembly.actions, assembly.warnings) == ([], [])


def test_two_folders_with_a_mod_ini_are_only_warned_about() -> None:
    assembly = one("a/mod.ini", "b/Mod.ini")
    assert (assembly.actions, paths(assembly)) == ([], ["a/mod.ini", "b/Mod.ini"])
    assert "a and b" in assembly.warnings[0]


def test_a_mod_ini_that_cannot_come_up_is_only_warned_about() -> None:
    assembly = one("a/mod.ini", "a/readme", "readme")
    assert (assembly.actions, paths(assembly)) == ([], ["a/mod.ini", "a/readme", "readme"])
    assert "cannot be moved" in assembly.warnings[0]


def test_the_same_path_in_two_archives_is_an_error_that_names_both() -> None:
    packages = [{"files": [{"filename": "a.7z"}]}, {"files": [{"filename": "b.7z"}]}]
    contents = {(0, 0): archive("x", "y"), (1, 0): archive("x")}
    with pytest.raises(FilesClash, match=r"x in a\.7z \(package P0\) and x in b\.7z \(package P1\)") as caught:
        assembled(*packages, contents=contents)
    assert caught.value.clashes == [{"path": "x", "archives": ["a.7z", "b.7z"]}]
    delete = [{"type": "delete", "paths": ["x"]}]
    assert paths(assembled(*packages, contents=contents, actions=delete)) == ["y"]


def test_an_archive_and_a_file_of_its_own_clash_as_well() -> None:
    package = {"files": [{"filename": "a.7z"}, {"filename": "x", "is_archive": False}]}
    with pytest.raises(FilesClash):
        assembled(package, contents={(0, 0): archive("x/y"), (0, 1): PLAIN})


def test_builds_for_different_systems_may_hold_the_same_path() -> None:
    packages = [
        {"files": [{"filename": "a.7z"}], "environment": "windows"},
        {"files": [{"filename": "b.7z"}], "environment": "linux && x86_64"},
    ]
    assembly = assembled(*packages, contents={(0, 0): archive("x"), (1, 0): archive("x")})
    assert [paths(assembly, 0), paths(assembly, 1)] == [["x"], ["x"]]


def test_an_action_that_cannot_be_done_is_an_error() -> None:
    with pytest.raises(ActionImpossible):
        one("a", "b", actions=[{"type": "move", "paths": ["a"], "dest": "b"}])


def test_the_logo_is_found_in_the_archive_unless_the_description_has_one() -> None:
    logo = one("Sub/mod.ini", "Sub/Logo.JPG").logo
    assert logo is not None
    assert logo.name == "Sub/Logo.JPG"
    assert one("logo.jpg", dest="data").logo is not None
    assert one("logo.jpg", logo="https://example.org/logo.png").logo is None
    assert one("data/logo.jpg").logo is None
