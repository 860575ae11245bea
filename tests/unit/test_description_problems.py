"""Descriptions that are wrong: every problem is named at its path, and nothing but DescriptionInvalid comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from knossos.packaging.description import ConversionRequest, DescriptionInvalid, NotJson, parse_request
from tests.unit.test_description import a_file, a_mod, with_files


def problems(data: Any) -> dict[str, str]:
    with pytest.raises(DescriptionInvalid) as caught:
        parse_request(json.dumps(data))
    return {one["path"]: one["message"] for one in caught.value.errors}


def test_every_problem_is_reported_at_once_at_its_path() -> None:
    data = {
        "mods": [
            a_mod(version="x.y"),
            {
                "id": "../etc",
                "title": 5,
                "version": "1.0",
                "packages": [
                    {"name": "Core"},
                    {
                        "name": "Extra",
                        "status": "perhaps",
                        "environment": "windoofs",
                        "dependencies": [{"id": "FSO", "version": "newest"}, "FS2"],
                        "files": [a_file(urls=[]), a_file(filename="../../x", urls=["ftp://example.org/a"])],
                        "executables": [{"file": "../../bin/sh"}],
                    },
                ],
                "actions": [{"type": "move", "paths": ["../up"]}],
            },
        ]
    }
    assert set(problems(data)) == {
        "mods.0.version",
        "mods.1.id",
        "mods.1.title",
        "mods.1.packages.1.status",
        "mods.1.packages.1.environment",
        "mods.1.packages.1.dependencies.0.version",
        "mods.1.packages.1.dependencies.1",
        "mods.1.packages.1.files.0.urls",
        "mods.1.packages.1.files.1.filename",
        "mods.1.packages.1.files.1.urls.0",
        "mods.1.packages.1.executables.0.file",
        "mods.1.actions.0.paths",
        "mods.1.actions.0.dest",
    }


def test_messages_say_what_was_expected() -> None:
    found = problems({"mods": [{"id": 1, "title": None, "packages": {}, "actions": [[]], "private": "yes"}]})
    assert found["mods.0.id"] == "expected a text, but this is a number"
    assert found["mods.0.title"] == "expected a text, but this is null"
    assert found["mods.0.version"] == "this is required"
    assert found["mods.0.packages"] == "expected a list, but this is an object"
    assert found["mods.0.actions.0"] == "expected an object, but this is a list"
    assert found["mods.0.private"] == "expected true or false, but this is a text"


@pytest.mark.parametrize(
    "data", [[], "text", 5, None, True, [[]], {}, {"mods": []}, {"mods": {}}, {"mods": [[]]}, {"mods": ["x"]}]
)
def test_anything_but_a_request_is_refused(data: Any) -> None:
    assert problems(data)


@pytest.mark.parametrize(
    "mod_id",
    ["", " ", ".", "..", "...", "../x", "a/b", "a\\b", "C:", "C:\\x", "a b", " a", "a ", "a.", "-a", ".a", "nul", "Aux",
     "com1", "a\x00b", "a\nb", "ä", "x" * 300, "a?b", "%2e%2e"],
)  # fmt: skip
def test_an_id_that_is_no_plain_name_is_refused(mod_id: str) -> None:
    assert "mods.0.id" in problems({"mods": [a_mod(id=mod_id)]})


@pytest.mark.parametrize(
    "version", ["", "..", "../..", "1.2.3.4", "01.2.3", "1.2.3/..", "v1", "1..2", "9" * 5000, "1.0-rc1", "\u0661.0.0"]
)
def test_a_version_that_is_no_semantic_version_is_refused(version: str) -> None:
    assert list(problems({"mods": [a_mod(version=version)]})) == ["mods.0.version"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "/a",
        "a\\b",
        "C:a",
        "a:b",
        "con",
        "NUL.txt",
        "a ",
        "a.",
        "a\tb",
        "a|b",
        "é" * 150,
        "\x7f",
    ],
)
def test_a_file_name_that_some_system_cannot_store_is_refused(name: str) -> None:
    assert "packages.0.files.0.filename" in problems(with_files(a_file(filename=name)))


@pytest.mark.parametrize(
    "dest", ["..", "../x", "a/../../b", "C:/x", "c:", "a/nul/b", "a\\..\\..\\b", "x" * 2000, "a\x00"]
)
def test_a_folder_outside_of_the_mod_folder_is_refused(dest: str) -> None:
    assert "packages.0.files.0.dest" in problems(with_files(a_file(dest=dest)))
    assert "folder" in problems(a_mod(folder=dest))
    assert "actions.0.dest" in problems(a_mod(actions=[{"type": "copy", "paths": ["a"], "dest": dest}]))


@pytest.mark.parametrize(
    "link",
    ["", "example.org/a.7z", "ftp://example.org/a", "file:///etc/passwd", "javascript:alert(1)", "http://", "http:///a",
     "http://[::1/a", "http://a:b/", "https://ex ample.org/", "http://a\n.org/", "//example.org/x", "http:/example.org",
     "http://a.org:99999/", "https://" + "a" * 5000],
)  # fmt: skip
def test_a_link_that_is_no_complete_web_address_is_refused(link: str) -> None:
    assert "packages.0.files.0.urls.0" in problems(with_files(a_file(urls=[link])))
    assert "packages.0.files.0.0.0" in problems(with_files([[link], {"a.7z": {}}]))


@pytest.mark.parametrize("path", ["..", "../x", "a/../../x", "/", "", ".", "C:\\x"])
@pytest.mark.parametrize("kind", ["delete", "move", "mkdir"])
def test_an_action_stays_inside_the_mod_folder(kind: str, path: str) -> None:
    assert "actions.0.paths" in problems(a_mod(actions=[{"type": kind, "paths": [path], "dest": "x"}]))


def test_broken_pairs_are_named_inside_of_the_pair() -> None:
    pair = [["https://example.org"], {"a.7z": {"dest": 5}, "..": {}, "b.7z": []}]
    found = problems(with_files(pair, [], ["https://example.org"], [[], {}]))
    assert found["packages.0.files.0.1.a.7z.dest"] == "expected a text, but this is a number"
    assert "packages.0.files.0.1..." in found
    assert found["packages.0.files.0.1.b.7z"] == "expected an object, but this is a list"
    assert {"packages.0.files.1.0", "packages.0.files.2.1", "packages.0.files.3.0"} <= set(found)


def test_old_environment_lists_are_checked_word_by_word() -> None:
    checks = [
        {"type": "os", "value": "beos"},
        {"type": "os", "value": "sse"},
        {"type": "moon", "value": "linux"},
        "linux",
    ]
    assert set(problems(with_files(environment=checks))) == {
        "packages.0.environment.0.value",
        "packages.0.environment.1.value",
        "packages.0.environment.2.type",
        "packages.0.environment.3",
    }


def test_what_must_be_unique_is_reported_along_with_everything_else() -> None:
    mods = [
        a_mod(version="3.7", title=5),
        a_mod(id="MyMod", version="3.7.0"),
        {**with_files(a_file(), a_file(filename="A.7z"), [["https://x.example"], {"a.7Z": {}}]), "version": "2.0.0"},
        a_mod(version="4.0", packages=[{"name": "Core"}, {"name": "core"}]),
    ]
    assert set(problems({"mods": mods})) == {
        "mods.0.title",
        "mods.1.id",
        "mods.2.packages.0.files.1.filename",
        "mods.2.packages.0.files.2.1.a.7Z",
        "mods.3.packages.1.name",
    }


def test_two_packages_may_hold_a_file_of_the_same_name() -> None:
    packages = [{"name": name, "files": [a_file(urls=[f"https://example.org/{name}/a.7z"])]} for name in ("A", "B")]
    assert len(parse_request(json.dumps(a_mod(packages=packages))).mods[0].packages) == 2


def test_very_many_problems_are_counted_rather_than_listed() -> None:
    found = problems({"mods": [{}] * 5000})
    assert len(found) < 200
    assert "more problems" in found[""]


@pytest.mark.parametrize(
    "text",
    ["", "{", "nonsense", '{"id": NaN}', '{"id": Infinity}', '{"id": 1e999}', '{"id": ' + "9" * 10_000 + "}",
     "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000, '{"id": "a", "id": "b"}', '{"title": "\\ud800"}',
     '{"\\udfff": 1}', "\ud800", b"\xff\xfe", b'{"id": "\xff"}', "[" * 41 + "]" * 41],
)  # fmt: skip
def test_text_that_two_programs_would_read_differently_is_no_json(text: str | bytes) -> None:
    with pytest.raises(NotJson) as caught:
        parse_request(text)
    assert json.dumps(caught.value.errors).encode("utf-8")
    assert caught.value.errors[0]["message"].startswith(("expected", "there are"))


def test_a_repeated_key_is_named_at_its_path() -> None:
    with pytest.raises(NotJson) as caught:
        parse_request('{"mods": [{"id": "a", "title": "x", "title": "y"}]}')
    assert [one["path"] for one in caught.value.errors] == ["mods.0.title"]


KEYS = st.sampled_from(
    ["mods", "id", "title", "version", "packages", "files", "urls", "filename", "dest", "actions", "type", "paths",
     "environment", "includes", "remote_includes", "dependencies", "folder", "logo", "name", "status", "executables",
     "file", "glob", "not", "value", "first_release", "custom_build", "<pair>", "[key]"],
)  # fmt: skip
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["..", "a", "1.0", "mod", "move", "windows", "https://a.example/b", "os", ">=1", "2024-01-01", "a/b", "a.7z"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=6),
    max_leaves=25,
)


@given(VALUES)
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@example({"mods": [with_files([["https://a.example"], {"[key]": {"x": 1}}])]})
@example({"mods": [with_files([["https://" + "a" * 3990], {"a.7z": {}, "b" * 150: {}}])]})
@example({"mods": [a_mod(custom_build={"a": [1]}, owners=[{"<pair>": 1}])], "<file>": 1})
def test_whatever_json_comes_in_only_description_invalid_comes_out(data: Any) -> None:
    for text in (json.dumps(data), json.dumps({"mods": [data]}), json.dumps(with_files(data))):
        try:
            request = parse_request(text)
        except DescriptionInvalid as error:
            found = error.errors
        else:
            payload = json.loads(json.dumps(request.as_payload(), allow_nan=False))
            assert ConversionRequest.from_payload(payload) == request
            continue
        assert found
        assert all(isinstance(one["path"], str) and one["message"] for one in found)
        json.dumps(found).encode("utf-8")


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_whatever_text_comes_in_only_description_invalid_comes_out(text: str | bytes) -> None:
    with pytest.raises(DescriptionInvalid):
        parse_request(text)
