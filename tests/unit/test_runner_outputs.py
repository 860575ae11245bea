"""A runner's results: what is read from CSV and JSON, and what is refused with words."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.scripting.plan import CsvColumn, ResultsPlan
from knossos.scripting.runners import outputs
from knossos.scripting.runners.outputs import ResultsBroken, linked_results, missing_results, parse_results


def read(text: str | bytes, format: str = "csv", columns: tuple[CsvColumn, ...] | None = None) -> Any:
    data = text.encode() if isinstance(text, str) else text
    plan = ResultsPlan(source="file", format=format, path="LIMS_results.csv", columns=columns)
    return parse_results(plan, io.BytesIO(data))


def column(output_name: str, input_name: str, *skip: str) -> CsvColumn:
    return CsvColumn(output_name=output_name, input_name=input_name, skip_list=skip)


def test_csv_is_a_list_of_objects_by_column_name() -> None:
    assert read('Plate,Note\r\n1,"a, ""b""\nc"\r\n\r\n2,\r\n') == [
        {"Plate": "1", "Note": 'a, "b"\nc'},
        {"Plate": "2", "Note": ""},
    ]
    assert read("\ufeffPlate\nä\n") == [{"Plate": "ä"}]
    assert read("") == read("Plate,Note\n") == []


def test_remapped_columns_come_under_their_output_names_and_rows_without_them_are_left_out() -> None:
    rows = "Plate,City,Other\n1,Oslo,x\nNA,Bergen,x\n2\n3,,x\n"
    assert read(rows, columns=(column("plateIndex", "Plate", "NA", ""), column("city", "City"))) == [
        {"plateIndex": "1", "city": "Oslo"},
        {"plateIndex": "3", "city": ""},
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("City\nOslo\n", "there is no column 'Plate'; there are: 'City'"),
        ("Plate,Plate\n1,2\n", "there are two columns 'Plate'"),
        ("", "there is no column 'Plate'; there are: none"),
        ('Plate\n"1\n', "line 2: unexpected end of data"),
        ("Plate\n1,2\n", "line 2 has 2 cells, the first line 1"),
        (b"Plate\n\xff\n", "expected UTF-8; byte 7 is none"),
    ],
)
def test_csv_that_is_not_what_the_runner_says_is_an_error(text: str | bytes, message: str) -> None:
    with pytest.raises(ResultsBroken) as caught:
        read(text, columns=(column("p", "Plate"),))
    assert caught.value.message == f"the results in LIMS_results.csv: {message}"


def test_empty_cells_beyond_the_last_column_are_no_cells_and_missing_ones_are_null() -> None:
    assert read("a,b\n1,2,,\n3\n") == [{"a": "1", "b": "2"}, {"a": "3", "b": None}]


def test_two_columns_of_one_name_are_an_error_unless_they_have_none() -> None:
    with pytest.raises(ResultsBroken, match="two columns 'a'"):
        read("a,a\n1,2\n")
    assert read("a,,\n1,,\n") == [{"a": "1", "": ""}]


def test_json_is_the_document() -> None:
    assert read('{"rows": [1, 2.5, null, "ü"]}', "json") == {"rows": [1, 2.5, None, "ü"]}


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": -Infinity}', "1e999", "[" * 100_000, "9" * 5000, b"\xff"])
def test_what_is_no_json_is_an_error(text: str | bytes) -> None:
    with pytest.raises(ResultsBroken, match=r"^the results in LIMS_results\.csv: expected "):
        read(text, "json")


def test_results_have_a_size_that_can_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_RESULTS_VALUES", 100)
    monkeypatch.setattr(outputs, "MAX_RESULTS_BYTES", 1000)
    for text, format in (("a\n" + "x" * 1000, "csv"), ("1,2\n" * 60, "csv"), ("a" + "," * 20 + "\n1" * 6, "csv"),
                         ("[" + "1," * 100 + "1]", "json")):  # fmt: skip
        with pytest.raises(ResultsBroken, match=r"(expected at most|more than 100)"):
            read(text, format)


def test_messages_name_the_stream_or_the_file() -> None:
    with pytest.raises(ResultsBroken, match="standard error"):
        parse_results(ResultsPlan(source="stderr", format="json"), io.BytesIO(b"x"))
    plan = ResultsPlan(source="file", format="csv", path="out/a.csv")
    assert missing_results(plan).message == "the results in out/a.csv: the command has not made this file"
    assert "no link" in linked_results(plan).message


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(CELLS.filter(bool), min_size=1, max_size=5, unique=True), st.lists(st.lists(CELLS, max_size=5)))
def test_what_the_csv_module_writes_is_read_back(names: list[str], rows: list[list[str]]) -> None:
    names[0] = names[0].lstrip("\ufeff") or "x" * 9
    full = [[*row[: len(names)], *[""] * (len(names) - len(row))] for row in rows]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([names, *full])
    assert read(file.getvalue()) == [dict(zip(names, row, strict=True)) for row in full]


@given(st.binary(max_size=200), st.sampled_from(["csv", "json"]))
def test_whatever_is_read_is_json_or_an_error_with_words(data: bytes, format: str) -> None:
    try:
        found = read(data, format)
    except ResultsBroken:
        return
    json.dumps(found, allow_nan=False)


def test_half_of_a_character_is_an_error_and_not_a_question_mark() -> None:
    plan = ResultsPlan(source="stdout", format="json")
    with pytest.raises(ResultsBroken, match="half of a character"):
        parse_results(plan, io.BytesIO(b'{"a": ["\\ud83d"]}'))
    assert parse_results(plan, io.BytesIO(b'"\\uD83D\\ude00"')) == "\N{GRINNING FACE}"
