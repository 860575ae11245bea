"""Routes of the tests' many applications, which are the same: Werkzeug writes and compiles two functions for each, and
that is most of the time in which an application is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule


def compile_each_once() -> None:
    """What Werkzeug has compiled for a rule serves the same rule of another application."""
    compiling: Callable[[Rule, bool], Any] = Rule._compile_builder
    known: dict[object, Any] = {}

    def compiled(rule: Rule, append_unknown: bool = True) -> Any:
        defaults = sorted((rule.defaults or {}).items())
        converters = sorted((name, type(one).__qualname__) for name, one in rule._converters.items())
        key = (rule.rule, str(rule._trace), str(defaults), str(converters), append_unknown)
        if key not in known:
            known[key] = compiling(rule, append_unknown)
        return known[key]

    Rule._compile_builder = compiled  # type: ignore[method-assign]
