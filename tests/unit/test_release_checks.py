"""The checks of a release as pure comparisons: what is in archives and repository against what is written down."""

from __future__ import annotations

from typing import Any

from knossos.packaging.archives import Link
from knossos.publishing.checks import Findings, StoredFile, check_release
from knossos.publishing.checks.findings import MOST_OF_A_KIND
from tests.support.documents import Draft, RepositoryInMemory, draft, inspection_of, needs, sha256

IMAGE = "a" * 64


def findings(made: Draft, repository: RepositoryInMemory | None = None, **more: Any) -> Findings:
    found = Findings()
    check_release(made.document, made.stored, repository or RepositoryInMemory(), found, **more)
    return found


def errors(made: Draft, repository: RepositoryInMemory | None = None, **more: Any) -> dict[str, str]:
    return {one["path"]: one["message"] for one in findings(made, repository, **more).errors}


def warnings(made: Draft, repository: RepositoryInMemory | None = None, **more: Any) -> dict[str, str]:
    found = findings(made, repository, **more)
    assert found.errors == []
    return {one["path"]: one["message"] for one in found.warnings}


class TestFilelists:
    def test_a_right_release_has_no_problem(self) -> None:
        made = draft().package("Core", ("core.7z", {"data/a.txt": b"1", "mod.ini": b"2"}), dest="sub")
        assert findings(made).errors == findings(made).warnings == []

    def test_a_wrong_sum_is_named_with_the_right_one(self) -> None:
        made = draft().package("Core", ("core.7z", {"a": b"1", "b": b"2"}))
        made.packages[0]["filelist"][1]["checksum"] = ("sha256", "0" * 64)
        assert list(errors(made)) == ["packages.0.filelist.1.checksum"]
        assert sha256(b"2") in errors(made)["packages.0.filelist.1.checksum"]

    def test_an_entry_that_is_not_in_the_archive_is_named_with_what_was_meant(self) -> None:
        made = draft().package("Core", ("core.7z", {"Data/A.txt": b"1", "data2/b.txt": b"2"}))
        listed = made.packages[0]["filelist"]
        listed[0]["orig_name"] = "data/a.txt"
        listed[1]["orig_name"] = "b.txt"
        found = errors(made)
        assert 'there is "Data/A.txt"' in found["packages.0.filelist.0.orig_name"]
        assert 'there is "data2/b.txt"' in found["packages.0.filelist.1.orig_name"]

    def test_an_archive_that_the_package_lacks_is_named_with_its_package(self) -> None:
        made = draft().package("Core", ("core.7z", {"a": b"1"})).package("More", ("more.7z", {"b": b"2"}))
        made.packages[0]["filelist"].append({**made.packages[1]["filelist"][0], "filename": "c"})
        assert 'it belongs to the package "More"' in errors(made)["packages.0.filelist.1.archive"]

    def test_what_an_archive_holds_must_be_listed_unless_an_action_drops_it(self) -> None:
        made = draft().package("Core", ("core.7z", {"a": b"1", "b": b"2"}))
        del made.packages[0]["filelist"][0]
        assert errors(made)["packages.0.filelist"].startswith("a is in core.7z and not listed")
        assert errors(made, dropped={(0, 0, "a")}) == {}
        made.packages[0]["filelist"] = []
        assert errors(made)["packages.0.filelist"] == "none of the 2 files in core.7z is listed"

    def test_symlinks_may_be_listed_as_what_they_stand_for_or_not_at_all(self) -> None:
        contents = {"lib/a.so.1": b"1"}
        links = [Link("lib/a.so", "a.so.1"), Link("b.so", "lib/a.so"), Link("gone", "nowhere")]
        held = inspection_of(contents, form="tar.gz", links=links)
        made = draft().package("Core", ("c.tar.gz", contents), inspections={"c.tar.gz": held})
        assert errors(made) == {}
        listed = made.packages[0]["filelist"]
        listed.append({**listed[0], "filename": "b.so", "orig_name": "b.so"})
        assert errors(made) == {}
        listed.append({**listed[0], "filename": "gone", "orig_name": "gone"})
        assert list(errors(made)) == ["packages.0.filelist.2.orig_name"]

    def test_paths_that_leave_the_tree_or_that_windows_cannot_hold_are_refused(self) -> None:
        contents = {name: name.encode() for name in "abcdef"}
        made = draft().package("Core", ("core.7z", contents))
        bad = ["../a", "data/aux.txt", "what?.txt", "C:/x", "data\\x", "dot."]
        for entry, filename in zip(made.packages[0]["filelist"], bad, strict=True):
            entry["filename"] = filename
        assert set(errors(made)) >= {f"packages.0.filelist.{index}.filename" for index in range(len(bad))}

    def test_of_very_many_problems_the_first_are_spelled_out_and_none_of_another_kind_is_hidden(self) -> None:
        contents = {f"file{number:04}": b"%d" % number for number in range(1000)}
        made = draft(logo=f"{IMAGE}.png").package("Core", ("core.7z", contents))
        for entry in made.packages[0]["filelist"]:
            entry["checksum"] = ("sha256", "0" * 64)
        found = findings(made).errors
        assert len(found) == MOST_OF_A_KIND + 2
        assert found[0]["path"] == "logo"
        assert found[2]["path"] == "packages.0.filelist.1.checksum"
        assert found[-1] == {"path": "", "message": "and 975 more: wrong entries of filelists"}


class TestArchives:
    def test_sizes_formats_and_broken_archives_are_reported_together(self) -> None:
        made = draft().package(
            "Core", *((name, {name: b"1"}) for name in ("a.7z", "b.rar", "c.zip", "d.7z", "e.zip", "f.7z"))
        )
        made.stored[0, 0] = StoredFile(999, inspection_of({"a.7z": b"1"}, form="7z"))
        made.stored[0, 2] = StoredFile(1000, None, "c.zip is broken; pack it again")
        made.stored[0, 3] = StoredFile(1000, inspection_of({"d.7z": b"1"}, form="tar.gz"))
        made.stored[0, 4] = StoredFile(1000, inspection_of({"e.zip": b"1"}, form="7z"))
        del made.stored[0, 5]
        found = errors(made)
        assert set(found) == {f"packages.0.files.{place}" for place in ("0.filesize", "1", "2", "3.filename", "5")}
        assert "pack it as a 7z or a zip" in found["packages.0.files.1"]
        assert found["packages.0.files.2"] == "c.zip is broken; pack it again"
        assert "upload it first" in found["packages.0.files.5"]
        assert [one["path"] for one in findings(made).warnings] == ["packages.0.files.4.filename"]
        assert "packages.0.files.5" not in errors(made, all_stored=False)

    def test_file_names_come_once_in_a_package_and_have_no_folders(self) -> None:
        made = draft().package("Core", ("a.7z", {"a": b"1"}), ("A.7z", {"b": b"1"}), ("x/y.7z", {"c": b"1"}))
        assert list(errors(made)) == ["packages.0.files.1.filename", "packages.0.files.2.filename"]

    def test_symlinks_outside_of_a_tar_are_a_warning(self) -> None:
        contents = {"a": b"1"}
        links = [Link("b", "a")]
        made = draft().package(
            "Core", ("a.zip", contents), inspections={"a.zip": inspection_of(contents, links=links)}
        )  # fmt: skip
        assert "pack it as tar.gz" in warnings(made)["packages.0.files.0"]


class TestInstalled:
    def test_two_packages_may_not_put_different_files_at_one_path(self) -> None:
        made = draft().package("Core", ("a.7z", {"data/X": b"1"})).package("More", ("b.7z", {"Data/x": b"2"}))
        text = errors(made)["packages.1.filelist.0.filename"]
        assert text == 'Data/x of the package "More" would overwrite data/X of the package "Core", another file'

    def test_they_may_where_they_are_alike_or_never_meet(self) -> None:
        alike = draft().package("Core", ("a.7z", {"x": b"1"})).package("More", ("b.7z", {"x": b"1"}))
        assert errors(alike) == {}
        apart = draft()
        apart.package("W", ("a.7z", {"x": b"1"}), environment="windows")
        apart.package("L", ("b.7z", {"x": b"2"}), environment="linux")
        assert errors(apart) == {}
        apart.package("M", ("c.7z", {"x": b"3"}), environment="x86_64")
        assert list(errors(apart)) == ["packages.2.filelist.0.filename"]

    def test_a_file_where_another_package_needs_a_folder_is_refused(self) -> None:
        made = draft().package("Core", ("a.7z", {"data": b"1"})).package("More", ("b.7z", {"data/x": b"2"}))
        assert "needs a folder" in errors(made)["packages.1.filelist.0.filename"]

    def test_a_program_must_be_installed_in_this_spelling(self) -> None:
        made = draft(type="engine", parent=None)
        programs = ["bin/fs2.exe", "fs2.exe", "none.exe", "Bin/FS2.exe", "FS2.app", "run"]
        contents = {"Bin/FS2.exe": b"1", "FS2.app/Contents/FS2": b"2", "run.sh": b"3"}
        made.package(
            "Core", ("c.tar.gz", contents),
            executables=[{"file": file, "label": None, "properties": {}} for file in programs],
            inspections={"c.tar.gz": inspection_of(contents, form="tar.gz", links=[Link("run", "run.sh")])},
        )  # fmt: skip
        found = errors(made)
        assert list(found) == [f"packages.0.executables.{number}.file" for number in (0, 1, 2)]
        assert "there is Bin/FS2.exe" in found["packages.0.executables.0.file"]
        assert "paths begin at the mod folder" in found["packages.0.executables.1.file"]
        assert "there is" not in found["packages.0.executables.2.file"]

    def test_a_broken_environment_is_an_error_with_its_path(self) -> None:
        made = draft().package("Core", ("a.7z", {"x": b"1"}), environment="windows && (")
        assert list(errors(made)) == ["packages.0.environment"]


class TestImages:
    def test_images_must_be_stored_and_be_images(self) -> None:
        repository = RepositoryInMemory(images={IMAGE: "image/png", "b" * 64: "application/octet-stream"})
        made = draft(logo=f"{IMAGE}.png", banner=f"{'b' * 64}.png", screenshots=[f"{'c' * 64}.jpg", f"{IMAGE}.png"])
        assert list(errors(made, repository)) == ["banner", "screenshots.0"]
        assert list(errors(made, repository, all_stored=False)) == ["banner"]


class TestDependencies:
    def test_mods_versions_and_packages_that_are_not_there_are_all_named(self) -> None:
        repository = RepositoryInMemory({"Lib 1.0.0": {"Core": []}, "Lib 1.2.0": {"Core": [], "Extra?": []}})
        wanted = needs("Lib", "lib", "Nothing", "Lib >=2.0.0", "Lib ~1.0.0 Core", "Lib * Extra", "Lib * Core,None")
        made = draft().package("Core", ("a.7z", {"x": b"1"}), dependencies=[*wanted, *needs("mymod", "FS2")])
        found = errors(made, repository)
        start = "packages.0.dependencies"
        assert set(found) == {
            f"{start}.{place}" for place in ("1.id", "2.id", "3.version", "6.packages.1", "7.id")
        }  # fmt: skip
        assert 'there is "Lib"' in found[f"{start}.1.id"]
        assert "there is 1.2.0, 1.0.0" in found[f"{start}.3.version"]
        assert 'its packages: "Core", "Extra"' in found[f"{start}.6.packages.1"]

    def test_private_mods_are_for_private_mods(self) -> None:
        repository = RepositoryInMemory({"Lib 1.0.0": {}}, private=["Lib 1.0.0"])
        made = draft().package("Core", ("a.7z", {"x": b"1"}), dependencies=needs("Lib"))
        assert "is private" in errors(made, repository)["packages.0.dependencies.0.id"]
        made.more["private"] = True
        assert errors(made, repository) == {}

    def test_what_was_taken_back_is_a_warning_where_nothing_else_fits(self) -> None:
        repository = RepositoryInMemory({"Lib 1.0.0": {}, "Lib 1.1.0": {}}, yanked=["Lib 1.1.0"])
        made = draft().package("Core", ("a.7z", {"x": b"1"}), dependencies=needs("Lib"))
        assert warnings(made, repository) == {}
        made.packages[0]["dependencies"] = needs("Lib 1.1.0")
        assert "taken back" in warnings(made, repository)["packages.0.dependencies.0.version"]

    def test_packages_that_want_different_versions_of_one_mod_are_named_with_both(self) -> None:
        repository = RepositoryInMemory({"Lib 1.0.0": {}, "Lib 2.0.0": {}})
        made = draft().package("Core", ("a.7z", {"x": b"1"}), dependencies=needs("Lib ~1.0.0"))
        made.package("More", ("b.7z", {"y": b"1"}), dependencies=needs("Lib >=2.0.0"))
        text = errors(made, repository)["packages.1.dependencies"]
        assert text == (
            "no version of Lib satisfies all who need it: "
            'the package "Core" needs Lib ~1.0.0; the package "More" needs Lib >=2.0.0'
        )
        made.packages[0]["environment"], made.packages[1]["environment"] = "windows", "linux"
        assert errors(made, repository) == {}

    def test_an_older_version_is_found_where_the_newest_needs_what_does_not_fit(self) -> None:
        releases = {
            "A 1.0.0": {"Core": ["C ~1.0.0"]}, "A 2.0.0": {"Core": ["C ~2.0.0"]},
            "B 1.0.0": {"Core": ["C ~1.0.0"], "Extra?": ["C ~3.0.0"]},
            "C 1.0.0": {}, "C 2.0.0": {},
        }  # fmt: skip
        made = draft().package("Core", ("a.7z", {"x": b"1"}), dependencies=needs("A", "B"))
        assert warnings(made, RepositoryInMemory(releases)) == {}
        made.packages[0]["dependencies"] = needs("A >=2.0.0", "B")
        text = errors(made, RepositoryInMemory(releases))["packages.0.dependencies"]
        assert text == (
            "no version of C satisfies all who need it: A 2.0.0 needs C ~2.0.0; B 1.0.0 needs C ~1.0.0"
        )  # fmt: skip

    def test_cycles_and_what_others_lack_are_warnings(self) -> None:
        repository = RepositoryInMemory({"A 1.0.0": {"Core": ["mymod ~1.0.0", "Gone >=1.0.0", "FS2"]}})
        made = draft().package("Core", ("a.7z", {"x": b"1"}), dependencies=needs("A"))
        found = [one["message"] for one in findings(made, repository).warnings]
        assert found == [
            "A 1.0.0 needs Gone >=1.0.0, which is not in the repository",
            "A 1.0.0, which this release needs, needs mymod itself",
        ]
        assert errors(made, repository) == {}

    def test_a_search_through_very_many_versions_ends(self) -> None:
        releases: dict[str, dict[str, list[str]]] = {}
        for mod in range(20):
            for version in range(20):
                releases[f"M{mod} 1.{version}.0"] = {"Core": [f"N {version % 2 + 1}.0.0"]}
        releases |= {"N 1.0.0": {}, "N 2.0.0": {}, "N 3.0.0": {}}
        made = draft().package(
            "Core", ("a.7z", {"x": b"1"}), dependencies=needs(*(f"M{mod}" for mod in range(20)), "N 3.0.0")
        )
        assert list(errors(made, RepositoryInMemory(releases))) in ([], ["packages.0.dependencies"])

    def test_parents_and_mods_of_the_flag_must_exist_but_for_retail(self) -> None:
        repository = RepositoryInMemory({"Lib 1.0.0": {}})
        made = draft(parent="Nothing", mod_flag=["mymod", "FS2", "Lib", "Gone"])
        made.package("Core", ("a.7z", {"x": b"1"}))
        assert list(errors(made, repository)) == ["mod_flag.3", "parent"]
        made.more |= {"parent": "FS2", "mod_flag": ["mymod", "Lib"]}
        assert list(warnings(made, repository)) == ["mod_flag.1"]
        made.packages[0]["dependencies"] = needs("Lib")
        assert warnings(made, repository) == {}

    def test_a_public_release_does_not_name_mods_that_are_private(self) -> None:
        repository = RepositoryInMemory(
            {"Secret 1.0.0": {}, "Lib 1.0.0": {}, "Lib 2.0.0": {}}, private=("Secret 1.0.0", "Lib 2.0.0")
        )
        made = draft(parent="Secret", mod_flag=["Secret", "Lib"]).package("Core", ("a.7z", {"x": b"1"}))
        assert list(errors(made, repository)) == ["mod_flag.0", "parent"]
        made.more |= {"private": True}
        assert errors(made, repository) == {}
