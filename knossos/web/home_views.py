"""What the pages of a home show of folders and files: pure functions from what is there to what templates take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes, urlencode

from knossos.homes import Entry, EntryKind, OpenedFile
from knossos.homes.listing import SortBy
from knossos.homes.paths import parts_of, shown
from knossos.homes.previews import Table, Text, picture_type, read_table, read_text
from knossos.homes.previews.pictures import HEAD_BYTES
from knossos.homes.previews.tabular import TABLE_BYTES, delimiter_of
from knossos.homes.previews.texts import TEXT_BYTES, visible
from knossos.web.home_files import quoted

PAGES, FILES = "/home/", "/api/files/"

#: Bytes of a picture that pages show; larger ones are downloads.
PICTURE_BYTES = 50_000_000
#: Rows of a table on a page.
TABLE_PAGE = 100
#: Ends of the names of tables; other texts are shown as one where somebody asks for that.
_TABLE_SUFFIXES = (".csv", ".tsv", ".tab")
_DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_KIND_NAMES = {
    EntryKind.FOLDER: "Folder",
    EntryKind.FILE: "File",
    EntryKind.LINK: "Link, which is not followed",
    EntryKind.OTHER: "Neither file nor folder",
}


@dataclass(frozen=True)
class Crumb:
    name: str
    address: str


@dataclass(frozen=True)
class Row:
    """An entry of a folder. ``value`` is its name as forms send it; ``address`` "" where it cannot be opened."""

    entry: Entry
    name: str
    value: str
    path: str
    address: str
    kind_name: str
    is_hidden: bool


@dataclass(frozen=True)
class Column:
    """A head of the list: where its link leads, and how the list is sorted by it (for aria-sort)."""

    name: str
    address: str
    sorted: str


@dataclass(frozen=True)
class Preview:
    """What a file shows. ``why`` says why there is nothing to see."""

    kind: Literal["text", "table", "picture", "none"]
    why: str = ""
    text: Text | None = None
    shown_bytes: int = 0
    #: Whether this is only the beginning.
    is_part: bool = False
    table: Table | None = None
    can_be_table: bool = False


def crumbs(path: str) -> list[Crumb]:
    """The folders that lead to a path, the home first."""
    parts = parts_of(path)
    paths = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    return [Crumb("Home", PAGES)] + [
        Crumb(visible_name(part), PAGES + quoted(own)) for part, own in zip(parts, paths, strict=True)
    ]


def visible_name(name: str) -> str:
    """A name in one line, with what is not seen in it."""
    return visible(shown(name)).replace("\n", "␊").replace("\t", "␉")


def row(folder: str, entry: Entry) -> Row:
    """An entry of the folder with such a path, which ends with a slash, or is that of the home, ""."""
    path = quoted(folder + entry.own_name)
    can_open = entry.kind in (EntryKind.FILE, EntryKind.FOLDER)
    return Row(
        entry=entry,
        name=visible_name(entry.own_name),
        value=quoted(entry.own_name),
        path=path,
        address=PAGES + path if can_open else "",
        kind_name=_KIND_NAMES[entry.kind],
        is_hidden=entry.name.startswith("."),
    )


def names_of(values: Sequence[str]) -> list[str]:
    """The names that a form has sent, as `row` has written them; without what no name is."""
    names = [unquote_to_bytes(value).decode("utf-8", "surrogateescape") for value in dict.fromkeys(values)]
    return [name for name in names if "/" not in name and "\0" not in name and name not in ("", ".", "..")][:10_000]


def columns(address: str, by: SortBy, *, descending: bool, text: str) -> list[Column]:
    """The heads of a list that is sorted so. One by which it is sorted turns it round."""
    found = []
    for column, name in ((SortBy.NAME, "Name"), (SortBy.SIZE, "Size"), (SortBy.TIME, "Changed")):
        is_own = column is by
        # What is largest, and what is newest, is what one looks for first.
        turned = not descending if is_own else column is not SortBy.NAME
        order = ("descending" if descending else "ascending") if is_own else "none"
        found.append(Column(name, with_query(address, column, descending=turned, text=text), order))
    return found


def with_query(address: str, by: SortBy, *, descending: bool, text: str, page: int = 1) -> str:
    """The address of a folder, sorted, searched, at a page. What is as usual is left out."""
    query = {"sort": by.value, "order": "desc" if descending else "asc", "q": text, "page": str(page)}
    usual = {"q": "", "page": "1"} | ({"sort": "name", "order": "asc"} if by is SortBy.NAME and not descending else {})
    left = {name: value for name, value in query.items() if usual.get(name) != value}
    return f"{address}?{urlencode(left)}" if left else address


def preview(file: OpenedFile, wanted: str = "") -> Preview:
    """What a file shows; ``wanted`` is "text" or "table" where somebody has chosen."""
    if file.size == 0:
        return Preview("none", "This file is empty.")
    head = b"".join(file.read(0, max(HEAD_BYTES, TEXT_BYTES)))
    if wanted != "text" and picture_type(head) is not None:
        if file.size <= PICTURE_BYTES:
            return Preview("picture")
        return Preview("none", "This picture is too large to be shown here. The download has all of it.")
    text = read_text(head, whole=len(head) >= file.size)
    if text is None:
        return Preview(
            "none", "This is no text, no picture and no table, so there is nothing to show. You can download it."
        )
    if wanted == "table" or (wanted != "text" and file.name.lower().endswith(_TABLE_SUFFIXES)):
        table = _table(file, text, head)
        if table is not None:
            return Preview("table", table=table, can_be_table=True, text=text)
    can_be_table = (
        file.name.lower().endswith((*_TABLE_SUFFIXES, ".txt", ".dat")) and delimiter_of(text.text) is not None
    )
    shown_text = Text(visible(text.text), text.encoding)
    return Preview("text", "", shown_text, len(head), len(head) < file.size, can_be_table=can_be_table)


def _table(file: OpenedFile, text: Text, head: bytes) -> Table | None:
    if file.size > len(head):
        more = head + b"".join(file.read(len(head), TABLE_BYTES - len(head)))
        text = read_text(more, whole=len(more) >= file.size) or text
        return read_table(text.text, whole=len(more) >= file.size)
    return read_table(text.text, whole=True)


def delimiter_name(delimiter: str) -> str:
    return _DELIMITER_NAMES[delimiter]
