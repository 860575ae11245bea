"""Forms of scripts: what a description may say, what each field takes, and HTML forms nested by their paths."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.errors import InvalidInput
from knossos.scripting.catalogue import BrokenScript, Catalogue
from knossos.scripting.form_fields import Form
from knossos.scripting.forms import beginning, check, document, nested, read_form, with_row
from knossos.scripting.plain_form import PLAIN_FORM, arguments_of, values_of
from knossos.settings import ROOT, Settings

SAMPLES: dict[str, Any] = {
    "type": "group",
    "name": "samples",
    "label": "Samples",
    "repeat": {"min": 1, "max": 3},
    "fields": [
        {"type": "text", "name": "name", "required": True},
        {"type": "double", "name": "volume", "min": 0},
        {"type": "checkbox", "name": "cold"},
        {"type": "text", "name": "tags", "repeat": {"max": 2}},
        {"type": "file", "name": "scan"},
    ],
}


def form(*fields: dict[str, Any]) -> Form:
    return read_form({"fields": list(fields)})


def errors(made: Form, values: object, *files: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        check(made, values, files)
    return {one["path"]: one["message"] for one in caught.value.errors}


def value(sent: object, *files: str, **field: Any) -> Any:
    """What one field makes of what was sent: its value, or the reason why not."""
    made = form({"name": "it", **field})
    try:
        return check(made, {"it": sent}, files)["it"]
    except InvalidInput as error:
        return error.errors[0]["message"]


# --- descriptions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"fields": []}, "fields"),
        ({"fields": [{"type": "colour", "name": "a"}]}, "fields.0"),
        ({"fields": [{"type": "text"}]}, "fields.0.name"),
        ({"fields": [{"type": "text", "name": "a.b"}]}, "fields.0.name"),
        ({"fields": [{"type": "text", "name": "__proto__"}]}, "fields.0.name"),
        ({"fields": [{"type": "text", "name": "a", "lable": "A"}]}, "fields.0.lable"),
        ({"fields": [{"type": "text", "name": "a", "pattern": "("}]}, "fields.0"),
        ({"fields": [{"type": "text", "name": "a", "value": "abc", "max_length": 2}]}, "fields.0"),
        ({"fields": [{"type": "integer", "name": "a", "min": "x"}]}, "fields.0.min"),
        ({"fields": [{"type": "integer", "name": "a", "min": 3, "max": 2}]}, "fields.0"),
        ({"fields": [{"type": "double", "name": "a", "min": 1, "value": 0}]}, "fields.0"),
        ({"fields": [{"type": "date", "name": "a", "value": "tomorrow"}]}, "fields.0.value"),
        ({"fields": [{"type": "select", "name": "a"}]}, "fields.0.options"),
        ({"fields": [{"type": "select", "name": "a", "options": ["x", "x"]}]}, "fields.0"),
        ({"fields": [{"type": "select", "name": "a", "options": ["x"], "value": "y"}]}, "fields.0"),
        ({"fields": [{"type": "select", "name": "a", "options": ["x"], "value": ["x"]}]}, "fields.0"),
        ({"fields": [{**SAMPLES, "repeat": {"min": 4, "max": 3}}]}, "fields.0.repeat"),
        ({"fields": [{**SAMPLES, "fields": [{"type": "text"}]}]}, "fields.0.fields.0.name"),
        ({"fields": [{"type": "text", "name": "a"}] * 2}, ""),
        ({"fields": [{"type": "text", "name": f"f{n}"} for n in range(400)]}, "fields"),
        ("no form", ""),
    ],
)
def test_a_wrong_description_is_refused_at_its_path(wrong: object, path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_form(wrong)
    assert caught.value.errors[0]["path"] == path


def test_groups_lie_only_so_deep_in_each_other() -> None:
    field: dict[str, Any] = {"type": "text", "name": "leaf"}
    for _ in range(5):
        field = {"type": "group", "name": "group", "fields": [field]}
    with pytest.raises(InvalidInput, match="more than 5 deep"):
        form(field)


def test_a_script_whose_form_is_wrong_is_broken_and_the_reason_names_file_and_field(tmp_path: Path) -> None:
    script = tmp_path / "it.py"
    script.write_text("#!/bin/sh\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    beside = tmp_path / "it.py.json"
    beside.write_text(json.dumps({"form": {"fields": [{"type": "text", "name": "a", "required": "perhaps"}]}}))
    catalogue = Catalogue(Settings(server_side_scripting_bin_dirs=(str(tmp_path),)))
    with pytest.raises(BrokenScript, match=r"it\.py\.json: form\.fields\.0\.required: "):
        catalogue.find("it.py")
    assert catalogue.scripts() == []


def test_the_example_is_a_form() -> None:
    found = Catalogue(Settings(server_side_scripting_bin_dirs=(str(ROOT / "examples" / "scripts"),)))
    assert found.check() == []
    described = found.find("handle_csv.py").metadata.form
    assert described is not None
    assert [field.name for field in described.fields][:2] == ["title", "table"]


# --- fields ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "sent", "expected"),
    [
        ({"type": "text"}, " as typed ", " as typed "),
        ({"type": "text"}, None, ""),
        ({"type": "text"}, 3, "Expected a text."),
        ({"type": "text"}, "a\r\nb", "This has to be one line."),
        ({"type": "text"}, "a\0", "This holds a character that no text has."),
        ({"type": "text", "max_length": 2}, "😀😀", "😀😀"),
        ({"type": "text", "max_length": 2}, "abc", "At most 2 characters."),
        ({"type": "text", "required": True}, "  ", "Fill this in."),
        ({"type": "text", "pattern": "[a-z]+"}, "abc", "abc"),
        ({"type": "text", "pattern": "[a-z]+"}, "abc1", "This does not have the form that is expected."),
        ({"type": "text", "pattern": "[a-z]+"}, "", ""),
        ({"type": "text", "pattern": "(?=.*[0-9]).{3,}"}, "ab1", "ab1"),
        ({"type": "text", "pattern": r"\w+"}, "é", "This does not have the form that is expected."),
        ({"type": "text", "pattern": "(x+x+)+y"}, "x" * 9999, "This takes too long to check."),
        ({"type": "textarea"}, "a\r\nb", "a\nb"),
        ({"type": "integer"}, " 7 ", 7),
        ({"type": "integer"}, 7.0, 7),
        ({"type": "integer"}, "", None),
        ({"type": "integer", "required": True}, "", "Fill this in."),
        ({"type": "integer"}, "7.5", "Expected a whole number, such as 3."),
        ({"type": "integer"}, True, "Expected a whole number, such as 3."),
        ({"type": "integer"}, "٣", "Expected a whole number, such as 3."),
        ({"type": "integer"}, "9007199254740993", "At most 9007199254740991."),
        ({"type": "integer", "min": 2}, "1", "At least 2."),
        ({"type": "integer", "min": 1, "step": 5}, "11", 11),
        ({"type": "integer", "min": 1, "step": 5}, "12", "In steps of 5, counted from 1."),
        ({"type": "double"}, "-2.5e1", -25.0),
        ({"type": "double"}, "1e400", "At most 1000000000000000."),
        ({"type": "double"}, "nan", "Expected a number, such as 2.5."),
        ({"type": "double", "max": 0.5}, "0.75", "At most 0.5."),
        ({"type": "double", "step": 0.1}, "0.3", 0.3),
        ({"type": "double", "step": 0.1}, "0.35", "In steps of 0.1, counted from 0."),
        ({"type": "date"}, "2024-02-29", "2024-02-29"),
        ({"type": "date"}, "2023-02-29", "Expected a day, such as 2024-05-31."),
        ({"type": "date"}, "20240229", "Expected a day, such as 2024-05-31."),
        ({"type": "date", "min": "2024-01-01"}, "2023-12-31", "Not before 2024-01-01."),
        ({"type": "date", "max": "2024-01-01"}, "2024-01-02", "Not after 2024-01-01."),
        ({"type": "checkbox"}, "on", True),
        ({"type": "checkbox"}, None, False),
        ({"type": "checkbox", "required": True}, False, "This has to be ticked."),
        ({"type": "checkbox"}, "perhaps", "Expected yes or no."),
        ({"type": "select", "options": ["a", "b"]}, "b", "b"),
        ({"type": "select", "options": ["a", "b"]}, "c", "Choose one of these."),
        ({"type": "select", "options": ["a", "b"]}, ["a", "b"], "Choose one of these."),
        ({"type": "select", "options": ["a", "b"], "required": True}, "", "Choose one of these."),
        ({"type": "select", "options": ["a", "b"], "multiple": True}, ["b", "a", "b"], ["b", "a"]),
        ({"type": "select", "options": ["a", "b"], "multiple": True}, None, []),
        ({"type": "file"}, "a.csv", "a.csv"),
        ({"type": "file"}, None, None),
        ({"type": "file"}, "b.csv", "Choose a file."),
        ({"type": "file", "required": True}, None, "Choose a file."),
        ({"type": "file"}, ["a.csv", "c.txt"], "Choose one file only."),
        ({"type": "file", "multiple": True}, ["a.csv", "c.txt"], ["a.csv", "c.txt"]),
        ({"type": "file", "multiple": True}, ["a.csv", "a.csv"], "Another file of this form is called a.csv, too"),
        ({"type": "file", "accept": ".CSV, .tsv"}, "a.csv", "a.csv"),
        ({"type": "file", "accept": ".csv, .tsv"}, "c.txt", "Expected a file whose name ends in .csv or .tsv."),
        ({"type": "file", "accept": ".csv, text/*"}, "c.txt", "c.txt"),
        ({"type": "file"}, "form.json", "A file of a form cannot be called form.json"),
        ({"type": "text", "repeat": {}}, ["a", "", "b"], ["a", "b"]),
        ({"type": "text", "repeat": {}}, None, []),
        ({"type": "text", "repeat": {"min": 2}}, ["a", ""], "At least 2 of these."),
        ({"type": "text", "repeat": {"max": 2}}, ["a", "b", "c"], "At most 2 of these."),
        ({"type": "text", "required": True, "repeat": {}}, [], "At least 1 of these."),
        ({"type": "text", "repeat": {}}, "a", "Expected a list."),
    ],
)
def test_each_kind_of_field_takes_what_it_means_and_says_why_it_takes_no_more(
    field: dict[str, Any], sent: object, expected: object
) -> None:
    found = value(sent, "a.csv", "c.txt", "form.json", **field)
    if isinstance(expected, str) and isinstance(found, str):
        assert found.startswith(expected)
    assert type(found) is type(expected)
    if not isinstance(expected, str):
        assert found == expected


def test_all_that_is_wrong_is_told_at_once_and_at_its_path() -> None:
    made = form({"type": "text", "name": "title", "required": True}, SAMPLES)
    sent = {"samples": [{"name": "a", "volume": "x"}, {"volume": -1, "colour": "red"}], "extra": 1}
    assert errors(made, sent) == {
        "title": "Fill this in.",
        "samples.0.volume": "Expected a number, such as 2.5.",
        "samples.1.name": "Fill this in.",
        "samples.1.volume": "At least 0.",
        "samples.1.colour": "There is no such field.",
        "extra": "There is no such field.",
    }


def test_what_passed_has_every_field_with_a_value_of_its_type_and_is_what_the_script_reads() -> None:
    made = form({"type": "date", "name": "day"}, SAMPLES)
    values = check(made, {"samples": [{"name": "é", "volume": "2", "scan": "s.png"}]}, ["s.png"])
    sample = {"name": "é", "volume": 2.0, "cold": False, "tags": [], "scan": "s.png"}
    assert json.loads(document(values)) == {"day": None, "samples": [sample]}


def test_two_files_of_one_name_are_refused_wherever_they_are() -> None:
    rows = [{"name": "a", "scan": "s.png"}, {"name": "b", "scan": "s.png"}]
    assert list(errors(form(SAMPLES), {"samples": rows}, "s.png")) == ["samples.1.scan"]


# --- HTML forms ------------------------------------------------------------------------------------------


def test_an_html_form_is_nested_by_its_paths() -> None:
    made = form({"type": "select", "name": "kinds", "options": ["a", "b"], "multiple": True}, SAMPLES)
    pairs = [
        ("kinds", "a"),
        ("kinds", "b"),
        ("samples.0", ""),
        ("samples.0.name", "first"),
        ("samples.0.cold", "on"),
        ("samples.7", ""),
        ("samples.7.tags.0", ""),
        ("samples.7.tags.0", "x"),
        ("samples.7.scan", "s.png"),
        ("unknown", "x"),
        ("samples.x.name", "x"),
        ("samples.99999999999.name", "x"),
    ]
    assert nested(made, pairs) == {
        "kinds": ["a", "b"],
        "samples": [
            {"name": "first", "volume": "", "cold": "on", "tags": [], "scan": []},
            {"name": "", "volume": "", "cold": False, "tags": ["x"], "scan": "s.png"},
        ],
    }


def test_rows_come_and_go_without_scripts() -> None:
    made = form(SAMPLES)
    values = beginning(made)
    assert len(values["samples"]) == 1
    values = with_row(made, with_row(made, values, "samples"), "samples")
    assert len(values["samples"]) == 3
    assert with_row(made, values, "samples") == values, "there are as many as there may be"
    values = with_row(made, values, "samples.1.tags")
    assert [len(row["tags"]) for row in values["samples"]] == [0, 1, 0]
    values = with_row(made, values, "samples.0", remove=True)
    assert [len(row["tags"]) for row in values["samples"]] == [1, 0]


@pytest.mark.parametrize("path", ["", "x", "samples.9.tags", "samples.x", "samples.0.name", "samples.-1", "9", "..."])
def test_a_list_that_is_not_there_gets_no_row(path: str) -> None:
    made = form(SAMPLES)
    for remove in (False, True):
        assert with_row(made, beginning(made), path, remove=remove) == beginning(made)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(script_arguments=5)


def test_the_plain_form_makes_a_command_line_and_an_earlier_one_fills_it_in(settings: Settings) -> None:
    sent = {"arguments": ["--looks-like=one", "b"], "named": [{"name": "size", "value": "3"}]}
    arguments = arguments_of(settings, check(PLAIN_FORM, sent))
    assert arguments == ("--size=3", "--looks-like=one", "b")
    assert values_of(("--size=3", "a", "--b=c")) == {
        "named": [{"name": "size", "value": "3"}],
        "arguments": ["a", "--b=c"],
        "files": [],
    }


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ({"named": [{"name": "auth-token", "value": "x"}]}, "named.0.name"),
        ({"named": [{"name": "a", "value": "x"}, {"name": "a", "value": "y"}]}, "named.1.name"),
        ({"arguments": ["x"] * 6}, "arguments.5"),
    ],
)
def test_what_is_no_argument_is_refused_at_its_field(settings: Settings, sent: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        arguments_of(settings, check(PLAIN_FORM, sent))
    assert [one["path"] for one in caught.value.errors] == [path]


# --- whatever is sent ------------------------------------------------------------------------------------

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(["title", "samples", "name", "volume", "cold", "tags", "scan", "kind", "day", "x"])
ANYTHING = st.recursive(LEAVES, lambda one: st.lists(one, max_size=4) | st.dictionaries(NAMES, one, max_size=6))
EVERYTHING = form(
    {"type": "text", "name": "title"},
    {"type": "integer", "name": "volume", "step": 3},
    {"type": "date", "name": "day"},
    {"type": "select", "name": "kind", "options": ["a", "b"], "multiple": True},
    {**SAMPLES, "repeat": {}},
)


@given(ANYTHING)
def test_whatever_is_sent_is_either_values_of_the_form_or_errors_with_paths(sent: object) -> None:
    try:
        found = check(EVERYTHING, sent, ["s.png"])
    except InvalidInput as error:
        refused = error
    else:
        refused = None
    if refused is not None:
        assert refused.errors
        assert all(set(one) == {"path", "message"} for one in refused.errors)
        return
    assert list(found) == [field.name for field in EVERYTHING.fields]
    assert check(EVERYTHING, json.loads(document(found)), ["s.png"]) == found, "what passed passes again"


PATHS = st.lists(st.sampled_from(["samples", "0", "1", "300", "name", "tags", "title", ""]), max_size=5).map(".".join)


@given(st.lists(st.tuples(PATHS, st.text(max_size=4)), max_size=12), PATHS, st.booleans())
def test_whatever_an_html_form_holds_can_be_nested_and_changed(
    pairs: list[tuple[str, str]], path: str, remove: bool
) -> None:
    values = with_row(EVERYTHING, nested(EVERYTHING, pairs), path, remove=remove)
    assert list(values) == [field.name for field in EVERYTHING.fields]
