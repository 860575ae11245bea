"""Reading a JSONPath of a runner's file, made ready to be used on a body of anybody's (`body_matches.py`).

``match`` and ``search`` in filters go by RE2, in a time in proportion to the text: Python's own regular expressions
would be kept busy for ever by thirty letters, where a pattern such as ``(a+)+b`` asks for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, ClassVar

from jsonpath import JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.function_extensions import ExpressionType, FilterFunction

from knossos.scripting.runners.body_matches import counted

#: Most characters of a pattern: it may stand in the body.
MAX_PATTERN_CHARS = 1000


class _Pattern(FilterFunction):
    """``match`` (the whole text) or ``search`` (anywhere in it), by RFC 9535: what cannot be is no match."""

    arg_types: ClassVar = [ExpressionType.VALUE, ExpressionType.VALUE]
    return_type: ClassVar = ExpressionType.LOGICAL

    def __init__(self, way: str) -> None:
        self._way = way

    def __call__(self, value: object, pattern: object) -> bool:
        if not isinstance(value, str) or not isinstance(pattern, str):
            return False
        regex = _regex(pattern)
        try:
            return regex is not None and getattr(regex, self._way)(value) is not None
        except UnicodeEncodeError:  # half a character
            return False


@lru_cache(maxsize=256)
def _regex(pattern: str) -> Any:
    import re2  # few paths have patterns

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options) if len(pattern) <= MAX_PATTERN_CHARS else None
    except (re2.error, UnicodeEncodeError):
        return None


def _environment() -> JSONPathEnvironment:
    environment = JSONPathEnvironment(strict=True)
    environment.function_extensions.update(match=_Pattern("fullmatch"), search=_Pattern("search"))
    return environment


_ENVIRONMENT = _environment()


@lru_cache(maxsize=256)
def compiled_path(path: str) -> JSONPath:
    """A JSONPath, ready to be used. Raises ValueError where it is none by RFC 9535."""
    try:
        compiled = _ENVIRONMENT.compile(path)
    except (JSONPathError, RecursionError, ArithmeticError) as error:
        # The last for a number in a filter that is none: 1e999.
        raise ValueError(f"expected a JSONPath such as '$.address.city': {str(error).splitlines()[0]}") from error
    if not isinstance(compiled, JSONPath):
        raise ValueError("expected one JSONPath such as '$.address.city'")
    return counted(compiled)
