"""JSON text to plain data, strictly: what one program reads must be what every other program reads.

Refused besides broken syntax: text that is not UTF-8, keys that appear twice, numbers that no client can hold (NaN,
Infinity, more than 64 bits), halves of surrogate pairs, and nesting deeper than any description has.
"""

from __future__ import annotations

import json
import math
from typing import Any

from knossos.packaging.description.problems import AmbiguousJson, NotJson, Problem, invalid, join_path, problem

#: Deepest nesting of lists and objects (a description needs about nine).
MAX_DEPTH = 40
#: Whole numbers beyond this many digits fit into no client's integer.
MAX_DIGITS = 18


class _Object(dict[str, Any]):
    """An object as parsed, which remembers the keys that it had more than once."""

    repeated: tuple[str, ...] = ()


def read_json(text: str | bytes) -> Any:
    """Parse a text. Raises ``NotJson`` with every problem that was found; ``AmbiguousJson`` where it could be read."""
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        data = json.loads(
            decoded,
            object_pairs_hook=_object,
            parse_int=_whole_number,
            parse_float=_number,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as error:
        raise invalid([problem("", f"expected UTF-8 text: {error.reason} at byte {error.start}")], NotJson) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise invalid([problem("", f"expected JSON: {error.msg} at {where}")], NotJson) from error
    except RecursionError as error:
        raise invalid([problem("", _TOO_DEEP)], NotJson) from error
    except ValueError as error:
        raise invalid([problem("", f"expected JSON: {error}")], NotJson) from error
    problems: list[Problem] = []
    plain = _plain(data, "", 1, problems)
    if problems:
        raise invalid(problems, AmbiguousJson)
    return plain


_TOO_DEEP = f"expected at most {MAX_DEPTH} levels of lists and objects"


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        found.repeated = tuple(dict.fromkeys(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits; expected at most {MAX_DIGITS}")
    return int(digits)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _plain(value: Any, path: str, depth: int, problems: list[Problem]) -> Any:
    """The same data in plain lists and dicts, each text checked."""
    if isinstance(value, str):
        if not _is_whole(value):
            problems.append(problem(path, "expected text without halves of surrogate pairs"))
        return value
    if not isinstance(value, list | dict):
        return value
    if depth > MAX_DEPTH:
        problems.append(problem(path, _TOO_DEEP))
        return None
    if isinstance(value, list):
        return [_plain(item, join_path(path, index), depth + 1, problems) for index, item in enumerate(value)]
    for key in getattr(value, "repeated", ()):
        problems.append(problem(join_path(path, _printable(key)), "expected this key only once in its object"))
    for key in value:
        if not _is_whole(key):
            problems.append(problem(path, "expected keys without halves of surrogate pairs"))
    return {key: _plain(item, join_path(path, _printable(key)), depth + 1, problems) for key, item in value.items()}


def _is_whole(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _printable(key: str) -> str:
    """A key as it may stand in a message."""
    return key[:200].encode("utf-8", "backslashreplace").decode("utf-8")
