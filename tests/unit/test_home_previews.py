"""What a look into a file shows, from bytes alone: pictures, texts, tables; and the order of a list."""

from __future__ import annotations

import pytest

from knossos.homes import Entry, EntryKind
from knossos.homes.listing import PAGE, SortBy, listing
from knossos.homes.previews import picture_type, read_table, read_text
from knossos.homes.previews.tabular import MAX_CELL_CHARS, MAX_ROWS, delimiter_of
from knossos.homes.previews.texts import visible


def entry(name: str, size: int | None = 1, modified: float = 0.0) -> Entry:
    kind = EntryKind.FOLDER if size is None else EntryKind.FILE
    return Entry(name, modified, size, kind, name)


def names(by: SortBy, *, descending: bool = False, text: str = "", page: int = 1) -> list[str]:
    entries = [entry("b10", 5, 3), entry("B2", 9, 1), entry("a", 9, 2), entry("z", None, 9), entry("y", None)]
    return [one.name for one in listing(entries, by, descending=descending, text=text, page=page).entries]


def test_folders_come_first_and_names_sort_as_people_sort_them() -> None:
    assert names(SortBy.NAME) == ["y", "z", "a", "B2", "b10"]
    assert names(SortBy.NAME, descending=True) == ["z", "y", "b10", "B2", "a"]
    assert names(SortBy.SIZE, descending=True) == ["y", "z", "a", "B2", "b10"]
    assert names(SortBy.TIME) == ["y", "z", "B2", "a", "b10"]
    assert names(SortBy.NAME, text="b") == ["B2", "b10"]
    assert names(SortBy.NAME, page=99) == names(SortBy.NAME, page=-1) == names(SortBy.NAME)


def test_a_long_list_comes_in_pages() -> None:
    found = listing([entry(str(number)) for number in range(10_000)], SortBy.NAME, descending=False, page=2)
    assert (found.page, found.pages, found.total) == (2, 10_000 // PAGE, 10_000)
    assert [one.name for one in found.entries] == [str(number) for number in range(PAGE, 2 * PAGE)]


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\n\n\n\nWEBPVP8 ", "image/webp"),
        (b'<?xml version="1.0"?>\n<!-- a - b --> <!-- c -->\n<svg xmlns="x">', "image/svg+xml"),
        (b"<svg>", "image/svg+xml"),
        (b"<html><svg>", None),
        (b"<svgx>", None),
        (b"text with GIF89a", None),
        (b"<!-- " * 800, None),
        (b"<!---->" * 500, None),
        (b"", None),
    ],
)
def test_a_picture_is_told_by_its_bytes(head: bytes, kind: str | None) -> None:
    assert picture_type(head) == kind


@pytest.mark.parametrize(
    ("data", "text", "encoding"),
    [
        ("Größe".encode(), "Größe", "UTF-8"),
        (b"\xef\xbb\xbfx", "x", "UTF-8"),
        ("Größe".encode("utf-16"), "Größe", "UTF-16"),
        ("Größe €".encode("cp1252"), "Größe €", "Windows-1252"),
        (b"", "", "UTF-8"),
    ],
)
def test_how_a_text_is_encoded_is_found_out(data: bytes, text: str, encoding: str) -> None:
    found = read_text(data, whole=True)
    assert found is not None
    assert (found.text, found.encoding) == (text, encoding)


def test_a_character_that_is_cut_is_left_out_and_bytes_are_no_text() -> None:
    found = read_text("aü".encode()[:-1], whole=False)
    assert found is not None
    assert (found.text, found.encoding) == ("a", "UTF-8")
    assert read_text(b"\0\1\2", whole=True) is None
    assert read_text(b"\x01\x02\x03abc\xff", whole=True) is None


def test_what_is_not_seen_in_a_text_is_made_seen() -> None:
    assert visible("a\tb\r\nc\rd") == "a\tb\nc\nd"
    assert visible("\x1b[0m\x07\x7f") == "␛[0m␇␡"
    assert visible("x\u202ey\u200b\x85\ufeff\ud800") == "x⟨U+202E⟩y⟨U+200B⟩⟨U+0085⟩⟨U+FEFF⟩⟨U+D800⟩"


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n2,5;3,5\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ('a;b\n"x;y,z,\n,";2\n', ";"),
        ("one line of prose\nand another\n", None),
        ("", None),
    ],
)
def test_what_separates_cells_is_found_out(text: str, delimiter: str | None) -> None:
    assert delimiter_of(text) == delimiter


def test_a_table_has_a_head_even_rows_and_says_which_were_not_even() -> None:
    table = read_table('name,n,note\na,1.5,"two\nlines, ""quoted"""\nb,-2e3\n\nc,,x,y\nd,4,z\n', whole=True)
    assert table is not None
    assert (list(table.head), table.has_head) == (["name", "n", "note", "4"], True)
    assert [list(row) for row in table.rows] == [
        ["a", "1.5", 'two\nlines, "quoted"', ""],
        ["b", "-2e3", "", ""],
        ["c", "", "x", "y"],
        ["d", "4", "z", ""],
    ]
    assert list(table.numeric) == [False, True, False, False]
    assert (table.ragged, table.cut, table.complete) == (2, False, True)


def test_a_table_without_a_head_has_numbers_for_names() -> None:
    table = read_table("1,2\n3,4\n", whole=True)
    assert table is not None
    assert (list(table.head), table.has_head, len(table.rows)) == (["1", "2"], False, 2)


def test_only_the_first_rows_of_a_table_are_read() -> None:
    table = read_table("a,b\n" + "1,2\n" * (MAX_ROWS + 5), whole=True)
    assert table is not None
    assert (len(table.rows), table.complete) == (MAX_ROWS, False)
    table = read_table("a,b\n" + "1,2\n" * MAX_ROWS, whole=True)
    assert table is not None
    assert (len(table.rows), table.complete) == (MAX_ROWS, True)
    # The last row of what is only a part may be cut.
    table = read_table("a,b\n1,2\n3,4", whole=False)
    assert table is not None
    assert ([list(row) for row in table.rows], table.complete) == ([["1", "2"]], False)


def test_cells_are_cut_and_a_quote_that_is_never_closed_ends_the_table() -> None:
    table = read_table(f"a,b\n{'x' * 1000},2\n3,4\n", whole=True)
    assert table is not None
    assert (len(table.rows[0][0]), table.cut) == (MAX_CELL_CHARS + 1, True)
    table = read_table("a,b\n1,2\n3,4\n" + '"' + "x,y\n" * 100_000, whole=True)
    assert table is not None
    assert ([list(row) for row in table.rows], table.complete) == ([["1", "2"], ["3", "4"]], False)
