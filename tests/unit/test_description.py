"""Descriptions that are right: forms, defaults, and what comes out of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from knossos.packaging.description import ConversionRequest, DescriptionInvalid, description_schema, parse_request
from knossos.packaging.description.sums import Expected


def a_mod(**changes: Any) -> dict[str, Any]:
    return {"id": "mymod", "title": "My Mod", "version": "1.0.0", **changes}


def a_file(**changes: Any) -> dict[str, Any]:
    return {"filename": "a.7z", "urls": ["https://example.org/a.7z"], **changes}


def with_files(*files: Any, **package: Any) -> dict[str, Any]:
    return a_mod(packages=[{"name": "Core", "files": list(files), **package}])


def parse(data: Any) -> ConversionRequest:
    return parse_request(json.dumps(data))


def test_a_bare_mod_is_a_request_of_one() -> None:
    assert [mod.id for mod in parse(a_mod()).mods] == ["mymod"]


def test_every_default_is_filled_in() -> None:
    mod = parse({"mods": [with_files(a_file())]}).mods[0]
    assert mod.type == "mod"
    assert mod.folder == "mymod"
    assert (mod.description, mod.notes, mod.cmdline) == ("", "", "")
    assert (mod.logo, mod.parent, mod.first_release, mod.private) == (None, None, None, False)
    package = mod.packages[0]
    assert (package.status, package.environment, package.is_vp) == ("recommended", "", False)
    assert (package.files[0].is_archive, package.files[0].dest) == (True, "")


def test_null_means_the_default() -> None:
    mod = parse(a_mod(notes=None, packages=None, private=None, actions=None, type=None, logo=None)).mods[0]
    assert (mod.notes, mod.packages, mod.private, mod.actions, mod.type) == ("", [], False, [], "mod")


def test_both_forms_of_files_come_out_the_same() -> None:
    pair = [
        ["https://one.example/x/", "https://two.example/y"],
        {"a.7z": {"dest": "/data/"}, "b.txt": {"is_archive": False}},
    ]
    files = parse(with_files(pair, a_file(filename="c.7z"))).mods[0].packages[0].files
    assert [file.filename for file in files] == ["a.7z", "b.txt", "c.7z"]
    assert files[0].urls == ["https://one.example/x/a.7z", "https://two.example/y/a.7z"]
    assert files[0].dest == "data"
    assert files[1].is_archive is False


def test_what_a_file_has_to_be_may_be_said_in_both_forms() -> None:
    said = {"filesize": 7, "md5sum": "AB" * 16, "checksum": ["sha256", "CD" * 32]}
    pair = [["https://one.example"], {"b.7z": said}]
    (mod,) = parse(with_files(a_file(**said), pair, a_file(filename="c.7z", filesize=0, md5sum=""))).mods
    first, second, third = mod.packages[0].files
    assert first.expected == second.expected == Expected(7, "ab" * 16, "cd" * 32)
    assert third.expected.difference(5, "ab" * 16, "cd" * 32) is None
    assert set(third.model_dump()) == {"filename", "is_archive", "dest", "urls", "filesize"}


@pytest.mark.parametrize(
    ("said", "path"),
    [
        ({"filesize": -1}, "filesize"),
        ({"filesize": "7"}, "filesize"),
        ({"md5sum": "ab"}, "md5sum"),
        ({"checksum": ["md5", "ab" * 16]}, "checksum"),
        ({"checksum": "ab" * 32}, "checksum"),
    ],
)
def test_a_sum_that_is_none_is_refused(said: dict[str, Any], path: str) -> None:
    with pytest.raises(DescriptionInvalid) as caught:
        parse(with_files(a_file(**said)))
    assert [error["path"] for error in caught.value.errors] == [f"packages.0.files.0.{path}"]


def test_a_file_name_in_the_pair_form_is_quoted_in_its_link() -> None:
    pair = [["https://one.example/x%20y/?a=1"], {"50% of #1 ä+(b).7z": {}}]
    (file,) = parse(with_files(pair)).mods[0].packages[0].files
    assert file.filename == "50% of #1 ä+(b).7z"
    assert file.urls == ["https://one.example/x%20y/?a=1/50%25%20of%20%231%20%C3%A4+(b).7z"]


def test_an_old_environment_list_becomes_an_expression() -> None:
    checks = [{"type": "os", "value": "Windows"}, {"type": "cpu_feature", "value": "sse2", "not": True}]
    assert parse(with_files(environment=checks)).mods[0].packages[0].environment == "windows && !sse2"
    assert parse(with_files(environment=[])).mods[0].packages[0].environment == ""


@pytest.mark.parametrize("version", ["3.7", "3", "1.2.3", "1.2.3-rc.1+build.5"])
def test_a_version_is_printed_back_as_given(version: str) -> None:
    assert parse(a_mod(version=version)).mods[0].version == version


@pytest.mark.parametrize(
    ("given", "kept"),
    [("1.2", "1.2"), (">= 1.0, <2.0", ">=1.0,<2.0"), ("~3.7", "~3.7"), (None, None), ("", None), ("*", "*")],
)
def test_dependency_versions_are_kept_without_blanks(given: str | None, kept: str | None) -> None:
    mod = parse(with_files(dependencies=[{"id": "FSO", "version": given}])).mods[0]
    assert mod.packages[0].dependencies[0].version == kept


def test_any_case_of_a_status_is_fine_and_addon_is_a_mod() -> None:
    mod = parse({**with_files(status="Required"), "type": "addon"}).mods[0]
    assert mod.packages[0].status == "required"
    assert mod.type == "mod"


def test_slashes_at_the_ends_of_folders_are_dropped() -> None:
    mod = parse({**with_files(a_file(dest="/data/maps//")), "folder": "/my/mod/"}).mods[0]
    assert mod.folder == "my/mod"
    assert mod.packages[0].files[0].dest == "data/maps"


def test_actions_are_normalised_and_a_slash_at_the_end_of_dest_says_folder() -> None:
    actions = [
        {"type": "move", "paths": ["/a/*.vp", "b\\c"], "dest": "/docs/"},
        {"type": "delete", "paths": ["x"], "glob": False, "dest": "ignored"},
        {"type": "move", "paths": ["sub/*"], "dest": ""},
    ]
    found = parse(a_mod(actions=actions)).mods[0].actions
    assert found[0].paths == ["a/*.vp", "b/c"]
    assert found[0].dest == "docs/"
    assert found[1].dest is None
    assert found[2].dest == ""


def test_an_unknown_key_is_only_a_warning() -> None:
    request = parse({"mods": [{**with_files(a_file(colour="red")), "teh_title": 1}], "comment": "hi"})
    assert [line.split(":")[0] for line in request.warnings] == [
        "comment",
        "mods.0.packages.0.files.0.colour",
        "mods.0.teh_title",
    ]
    assert "teh_title" not in request.mods[0].model_dump()


def test_a_request_survives_the_queue() -> None:
    pair = [["https://one.example/x/"], {"a.7z": {}}]
    request = parse(
        {"mods": [with_files(pair, environment="linux")], "remote_includes": ["https://o.example/r.json"], "x": 1}
    )
    again = ConversionRequest.from_payload(json.loads(json.dumps(request.as_payload())))
    assert again == request
    with pytest.raises(DescriptionInvalid):
        ConversionRequest.from_payload({"mods": [{"id": ".."}]})


def test_remote_includes_are_kept_once_each() -> None:
    links = ["https://other.example/repo.json"] * 2
    assert parse({"mods": [a_mod()], "remote_includes": links}).remote_includes == links[:1]


def test_utf8_bytes_with_a_byte_order_mark_are_read() -> None:
    text = json.dumps(a_mod(title="Größe"), ensure_ascii=False).encode("utf-8-sig")
    assert parse_request(text).mods[0].title == "Größe"


def test_a_json_schema_exists_for_editors() -> None:
    schema = description_schema()
    assert "mods" in schema["properties"]
    json.dumps(schema)


class TestIncludes:
    def test_the_command_line_follows_them_below_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "b.json").write_text(json.dumps({"mods": [a_mod(id="b")], "includes": ["c.json"]}))
        (tmp_path / "more" / "c.json").write_text(json.dumps({**a_mod(id="c"), "bogus": 1}))
        text = json.dumps({"mods": [a_mod(id="a")], "includes": ["more/b.json"]})
        request = parse_request(text, allow_includes=tmp_path)
        assert [mod.id for mod in request.mods] == ["a", "b", "c"]
        assert request.warnings == ["includes.0.includes.0.bogus: this key is not known and is left out"]

    def test_over_http_they_are_an_error_and_no_file_is_opened(self, tmp_path: Path) -> None:
        (tmp_path / "b.json").write_text(json.dumps(a_mod(id="b")))
        with pytest.raises(DescriptionInvalid) as caught:
            parse({"mods": [a_mod()], "includes": [str(tmp_path / "b.json")]})
        assert [one["path"] for one in caught.value.errors] == ["includes"]

    @pytest.mark.parametrize("name", ["../out.json", "/etc/hostname", "link.json", "missing.json", ".", "a\x00b"])
    def test_nothing_outside_of_the_folder_is_read(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "out.json").write_text(json.dumps(a_mod(id="secret")))
        folder = tmp_path / "in"
        folder.mkdir()
        (folder / "link.json").symlink_to(tmp_path / "out.json")
        with pytest.raises(DescriptionInvalid) as caught:
            parse_request(json.dumps({"mods": [a_mod()], "includes": [name]}), allow_includes=folder)
        assert [one["path"] for one in caught.value.errors] == ["includes.0"]

    def test_a_circle_ends(self, tmp_path: Path) -> None:
        for name, other in (("a", "b"), ("b", "a")):
            (tmp_path / f"{name}.json").write_text(
                json.dumps({"mods": [a_mod(id=name)], "includes": [f"{other}.json"]})
            )
        request = parse_request(json.dumps({"includes": ["a.json"]}), allow_includes=tmp_path)
        assert [mod.id for mod in request.mods] == ["a", "b"]

    def test_a_problem_in_an_included_file_says_in_which(self, tmp_path: Path) -> None:
        (tmp_path / "b.json").write_text("{")
        (tmp_path / "c.json").write_text(json.dumps({"mods": [a_mod(id="..")]}))
        with pytest.raises(DescriptionInvalid) as caught:
            parse_request(json.dumps({"includes": ["b.json", "c.json"]}), allow_includes=tmp_path)
        assert [one["path"] for one in caught.value.errors] == ["includes.0", "includes.1.mods.0.id"]
