"""A folder as one looks at it: folders first, sorted, searched, a page at a time. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from knossos.homes.opened import Entry, EntryKind

#: Entries on a page.
PAGE = 500

_NUMBERS = re.compile(r"([0-9]{1,15})")


class SortBy(StrEnum):
    NAME = "name"
    SIZE = "size"
    #: When it was last changed.
    TIME = "time"


@dataclass(frozen=True)
class Listing:
    """A page of a folder. ``found`` are the entries that pass the search, ``total`` all that the folder has."""

    entries: Sequence[Entry]
    page: int
    pages: int
    found: int
    total: int


def listing(entries: Iterable[Entry], by: SortBy, *, descending: bool, text: str = "", page: int = 1) -> Listing:
    """The page of a folder with such a number; the nearest that there is.

    Args:
        text: only those whose names have it, in whatever case.
    """
    all_entries = list(entries)
    found = [one for one in all_entries if text.casefold() in one.name.casefold()] if text else all_entries
    # Twice, since sorting keeps the order of equals: by name where sizes are the same, whichever way these go.
    found = sorted(found, key=lambda one: name_key(one.name), reverse=descending and by is SortBy.NAME)
    if by is SortBy.SIZE:
        found.sort(key=lambda one: one.size or 0, reverse=descending)
    elif by is SortBy.TIME:
        found.sort(key=lambda one: one.modified, reverse=descending)
    found.sort(key=lambda one: one.kind is not EntryKind.FOLDER)
    pages = max(1, -(-len(found) // PAGE))
    page = min(max(1, page), pages)
    return Listing(found[(page - 1) * PAGE : page * PAGE], page, pages, len(found), len(all_entries))


def name_key(name: str) -> tuple[list[str | int], str]:
    """Sorts as people do: whatever the case, and by the numbers in names."""
    # Texts and numbers alternate, beginning with a text, so that like meets like.
    parts = _NUMBERS.split(name.casefold())
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name
