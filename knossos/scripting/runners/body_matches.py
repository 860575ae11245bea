"""What a JSONPath finds in a body, within bounds: the path is the operator's, the body is anybody's.

Each ``..`` in a path goes through everything below each of its places. With two of them, a small body that is nested
deeply would keep a server busy for as long as it likes; so the values that are looked at are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from jsonpath import JSONPath
from jsonpath.match import JSONPathMatch

#: Most values that are looked at for one path in one body: two seconds' worth, and ten times what a body may hold.
MAX_LOOKS = 1_000_000
_LOOKS = "knossos looks"


class TooManyLooks(Exception):
    """The path would go through too much of this body."""


class _Looks:
    """How many more values may be looked at."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise TooManyLooks(f"more than {MAX_LOOKS} values would have to be looked at")


class _Counted(JSONPathMatch):
    """A place in a body; the library makes one for every value that it looks at."""

    __slots__ = ()

    def new_child(self, obj: object, key: int | str) -> JSONPathMatch:
        self.filter_context()[_LOOKS].spend()
        return super().new_child(obj, key)


def values_at(path: JSONPath, document: Any, most: int = MAX_LOOKS) -> Iterator[Any]:
    """The values that a path finds, one after the other.

    Raises:
        TooManyLooks: at the value that would be one too many.
        JSONPathError, RecursionError: the path cannot be used on this document.
    """
    context = {_LOOKS: _Looks(most)}
    places: Iterable[JSONPathMatch] = [
        _Counted(filter_context=context, obj=document, parent=None, path="$", parts=(), root=document)
    ]
    for segment in path.segments:
        places = segment.resolve(places)
    for place in places:
        yield place.obj
