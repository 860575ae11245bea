"""What is wrong with a description: every problem at once, each with its path and what was expected.

A path is written as in ``mods.0.packages.1.files.0.urls``; it points into the text as the user wrote it. Owns the
wording of pydantic's findings; the rules themselves are in the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from knossos.errors import InvalidInput

#: Most problems that are listed; the rest are counted.
MAX_PROBLEMS = 100

Problem = dict[str, str]


class DescriptionInvalid(InvalidInput):
    """A description breaks the rules. ``errors`` lists every problem as ``{"path", "message"}``."""

    code = "invalid_description"


class NotJson(DescriptionInvalid):
    """The text is no JSON at all, or (``AmbiguousJson``) none that two programs read alike."""

    code = "not_json"


class AmbiguousJson(NotJson):
    """The text can be read, and no two programs read it alike: each of its problems has a place in it."""


def problem(path: str, message: str) -> Problem:
    return {"path": path, "message": message}


def invalid(problems: Sequence[Problem], kind: type[DescriptionInvalid] = DescriptionInvalid) -> DescriptionInvalid:
    """The error that holds these problems, in their order, each once."""
    unique = list({(one["path"], one["message"]): one for one in problems}.values())
    shown = unique[:MAX_PROBLEMS]
    if len(unique) > len(shown):
        shown.append(problem("", f"there are {len(unique) - len(shown)} more problems"))
    first = shown[0]
    message = f"{first['path']}: {first['message']}" if first["path"] else first["message"]
    if len(unique) > 1:
        message += f" (and {len(unique) - 1} more)"
    return kind(message, errors=shown)


def join_path(*parts: object) -> str:
    return ".".join(str(part) for part in parts if part != "")


def path_of(location: Iterable[int | str]) -> str:
    """pydantic's location as a path; the marks of alternatives (``<pair>``) and of keys are no part of it."""
    return join_path(*(part for part in location if not _is_mark(part)))


def message_of(error: ErrorDetails) -> str:
    """What was expected there, in words that fit JSON."""
    kind, given = error["type"], error.get("input")
    context = error.get("ctx", {})
    if kind == "missing":
        return "this is required"
    if kind in _EXPECTED_BY_TYPE:
        return f"expected {_EXPECTED_BY_TYPE[kind]}, but this is {json_kind(given)}"
    if kind in ("literal_error", "enum"):
        return f"expected {context.get('expected', 'another word')}, but this is {_shown(given)}"
    if kind == "too_short":
        return "expected at least one"
    if kind == "too_long":
        return f"expected at most {context.get('max_length')} items"
    if kind == "greater_than_equal":
        return f"expected a number of at least {context.get('ge')}"
    if kind == "less_than_equal":
        return f"expected a number of at most {context.get('le')}"
    return str(error["msg"]).removeprefix("Value error, ")


def json_kind(value: Any) -> str:
    """The JSON type of a value, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list | tuple) else "an object"


_EXPECTED_BY_TYPE = {
    "string_type": "a text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "list_type": "a list",
    "tuple_type": "a list of two: the base links, and an object of file names",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def _is_mark(part: int | str) -> bool:
    return part in ("[key]", "<file>", "<pair>", "<checks>", "<expression>")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value[:40]}"' + ("..." if len(value) > 40 else "")
    return json_kind(value)
