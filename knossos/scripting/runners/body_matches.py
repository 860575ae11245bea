"""What a JSONPath finds in a body, within bounds: the path is the operator's, the body is anybody's.

Each ``..`` in a path goes through everything below each of its places. With two of them, a small body that is nested
deeply would keep a server busy for as long as it likes, and so would one in a filter, which is asked for each value; so
the values that are looked at are counted, in filters as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jsonpath import JSONPath
from jsonpath.filter import FilterQuery, walk
from jsonpath.match import JSONPathMatch
from jsonpath.selectors import Filter, JSONPathSelector

#: Most values that are looked at for one path in one body: two seconds' worth, and ten times what a body may hold.
MAX_LOOKS = 1_000_000
#: Levels below which a value counts as one more: the library goes up and down all of them for each.
DEEP = 10
_LOOKS = "knossos looks"


class TooManyLooks(Exception):
    """The path would go through too much of this body."""


class _Looks:
    """How many more values may be looked at."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, number: int = 1) -> None:
        self.left -= number
        if self.left < 0:
            raise TooManyLooks(f"more than {MAX_LOOKS} values would have to be looked at")


class _Counted(JSONPathMatch):
    """A place in a body; the library makes one for every value that it looks at."""

    __slots__ = ()

    def new_child(self, obj: object, key: int | str) -> JSONPathMatch:
        self.filter_context()[_LOOKS].spend(1 + len(self.parts) // DEEP)
        return super().new_child(obj, key)


class _CountedFilter(Filter):
    """A filter, which looks at each value that a place holds."""

    __slots__ = ()

    def resolve(self, node: JSONPathMatch) -> Iterable[JSONPathMatch]:
        if isinstance(node.obj, dict | list):
            node.filter_context()[_LOOKS].spend(len(node.obj))
        return super().resolve(node)


class _CountedPath(JSONPath):
    """A path in a filter."""

    def finditer(
        self, data: Any, *, filter_context: Mapping[str, Any] | None = None
    ) -> Iterable[JSONPathMatch]:  # fmt: skip
        return _matches(self, data, filter_context or {})


def counted(path: JSONPath) -> JSONPath:
    """The path itself, with filters that count what they look at."""
    for segment in path.segments:
        segment.selectors = tuple(_counted(selector) for selector in segment.selectors)
    return path


def _counted(selector: JSONPathSelector) -> JSONPathSelector:
    if not isinstance(selector, Filter) or isinstance(selector, _CountedFilter):
        return selector
    for expression in list(walk(selector.expression)):
        if isinstance(expression, FilterQuery):
            inner = counted(expression.path)
            expression.path = _CountedPath(env=inner.env, segments=inner.segments)
    return _CountedFilter(env=selector.env, token=selector.token, expression=selector.expression)


def values_at(path: JSONPath, document: Any, most: int = MAX_LOOKS) -> Iterator[Any]:
    """The values that a path finds, one after the other.

    Raises:
        TooManyLooks: at the value that would be one too many.
        JSONPathError, RecursionError: the path cannot be used on this document.
    """
    for place in _matches(path, document, {_LOOKS: _Looks(most)}):
        yield place.obj


def _matches(path: JSONPath, document: Any, context: Mapping[str, Any]) -> Iterable[JSONPathMatch]:
    places: Iterable[JSONPathMatch] = [
        _Counted(filter_context=context, obj=document, parent=None, path="$", parts=(), root=document)
    ]
    for segment in path.segments:
        places = segment.resolve(places)
    return places
