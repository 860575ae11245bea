"""The description of the API says of every route that it is there, and of none that is not; and it reads well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from knossos.accounts.first_start import prepare
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from knossos.web.openapi import document
from knossos.web.openapi.listing import OperationView, groups, shapes
from knossos.web.openapi.outline import kind_of, outline

#: What is for programs: routes below these, and the addresses themselves, are described. Pages of these are not.
SCOPE = ("/api/", "/drop/", "/storage/", "/task/", "/script/", "/Shared/", "/<sha1:")
ADDRESSES = {"/task", "/health", "/scripting", "/Info", "/login", "/logout"}
PAGES = {("GET", "/api/docs"), ("GET", "/login"), ("POST", "/logout")}

DOCUMENT = document("https://mods.example.org")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An app that nobody asks anything."""
    settings = Settings(data_path=tmp_path_factory.mktemp("data"), redis="redis://127.0.0.1:1/0")
    database = Database(settings)
    prepare(settings, database)
    database.close()
    engine = Engine(settings)
    yield create_app(settings, engine)
    engine.redis.close()


def routes(app: Flask) -> set[tuple[str, str]]:
    found = set()
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(SCOPE) or rule.rule in ADDRESSES:
            methods = (rule.methods or set()) - {"HEAD"}
            # Flask answers OPTIONS by itself, but where it is the route's only method.
            methods = methods if methods == {"OPTIONS"} else methods - {"OPTIONS"}
            path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule)
            found |= {(method, path) for method in methods}
    return found - PAGES


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_exactly_the_routes_that_are_there_are_described(app: Flask) -> None:
    described = {(method, path) for method, path, _ in operations()}
    assert described == routes(app)


def test_every_parameter_of_a_path_is_described() -> None:
    for method, path, operation in operations():
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert named == set(re.findall(r"{([^{}]+)}", path)), (method, path)


def test_ids_of_operations_are_unique_and_fit_into_addresses() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9_]+", one) for one in ids)


def test_every_reference_leads_to_a_shape_and_every_shape_is_used() -> None:
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            if "$ref" in value:
                yield value["$ref"]
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                yield from references(one)

    found = {one.removeprefix("#/components/schemas/") for one in references(DOCUMENT)}
    assert found == set(DOCUMENT["components"]["schemas"])


def test_every_operation_says_what_it_answers_when_all_is_well() -> None:
    for method, path, operation in operations():
        assert {"200", "201", "202"} & operation["responses"].keys(), (method, path)
        assert operation["summary"], (method, path)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "text"),
        ({}, "anything"),
        ({"const": True}, "true"),
        ({"enum": ["a", "b"]}, '"a" | "b"'),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "whole number | null"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Mod"}}, "[Mod, ...]"),
        ({"type": "array"}, "[anything, ...]"),
        ({"type": "array", "prefixItems": [{"const": "sha256"}, {"type": "string"}]}, '["sha256", text]'),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "{text: number}"),
        ({"type": "object"}, "{text: anything}"),
        (
            {
                "type": "object",
                "required": ["a"],
                "properties": {
                    "a": {"type": "string", "description": "A\n letter."},
                    "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "boolean"}}}},
                },
            },
            '{\n  "a": text  # A letter.\n  "b"?: [{\n    "c"?: true or false\n  }, ...]\n}',
        ),
        (
            {"anyOf": [{"type": "object", "properties": {"a": {"type": "null"}}}, {"$ref": "#/components/schemas/B"}]},
            '{\n  "a"?: null\n} | B',
        ),
    ],
)
def test_a_schema_becomes_lines_that_people_can_read(schema: dict[str, Any], text: str) -> None:
    assert outline(schema) == text


def test_a_file_is_called_a_file() -> None:
    assert kind_of({"type": "string", "format": "binary"}) == "file"


def view(path: str) -> OperationView:
    (found,) = [one for group in groups(DOCUMENT) for one in group.operations if one.path == path]
    return found


def test_everything_is_listed_once() -> None:
    listed = [(one.method, one.path) for group in groups(DOCUMENT) for one in group.operations]
    assert sorted(listed) == sorted((method, path) for method, path, _ in operations())
    assert {shape.name for shape in shapes(DOCUMENT)} == set(DOCUMENT["components"]["schemas"])


@pytest.mark.parametrize(
    ("path", "curl"),
    [
        ("/api/health", "curl https://mods.example.org/api/health"),
        ("/api/tasks/{ticket}", "curl 'https://mods.example.org/api/tasks/17?token=TOKEN'"),
        (
            "/api/1/mod/is_editable",
            'curl -H "X-KN-TOKEN: $TOKEN" --data-urlencode mid=fsport https://mods.example.org/api/1/mod/is_editable',
        ),
        (
            "/task",
            """curl -H "Authorization: Bearer $TOKEN" --json '{"address": {"city": "Oslo"}}' """
            "https://mods.example.org/task",
        ),
        ("/scripting", "curl --data-urlencode call=tables/clean.py https://mods.example.org/scripting"),
        (
            "/api/1/mod/update",
            """curl -H "X-KN-TOKEN: $TOKEN" --json '{"id": "fsport", "title": "FreeSpace Port"}' """
            "https://mods.example.org/api/1/mod/update",
        ),
    ],
)
def test_a_curl_line_asks_just_that(path: str, curl: str) -> None:
    assert view(path).curl == curl


def test_an_answer_in_xml_is_shown_by_an_example() -> None:
    shown = {answer.status: answer.shape for answer in view("/Info").answers}
    assert shown["200"].startswith('<Response><UserInfo username="dora"')
    assert shown["401"].startswith("<Response><Error ")


def test_a_header_is_a_field_like_others() -> None:
    (prefer,) = [field for field in view("/scripting").fields if field.place == "header"]
    assert (prefer.name, prefer.choices, prefer.required) == ("Prefer", ("respond-async",), False)


def test_a_curl_line_sends_files_as_files() -> None:
    assert " -F file=@FILE " in view("/api/1/upload/file").curl


def test_the_modules_of_the_description_are_all_in_it() -> None:
    folder = Path(__file__).parents[2] / "knossos" / "web" / "openapi"
    with_paths = {path.stem for path in folder.glob("*.py") if "\ndef paths() -> Paths:" in path.read_text("utf-8")}
    from knossos.web.openapi.document import MODULES

    assert with_paths == {module.__name__.rpartition(".")[2] for module in MODULES}
