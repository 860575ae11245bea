"""Semantic versions and the specs of dependencies, by the clients' own library.

Texts are kept as they were given, since clients show and compare them; only blanks go. Functions raise
``ValueError`` that says what was expected.
"""

from __future__ import annotations

import re

from semantic_version import SimpleSpec, Version  # type: ignore[import-untyped]

#: Longest version, and longest spec, in characters.
MAX_VERSION_CHARS = 100
MAX_SPEC_CHARS = 300

_PARTIAL = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))?")
_EXPECTED = 'expected a semantic version such as "1.2.3" or "1.2.3-rc.1"'


def version_text(text: str) -> str:
    """A mod's version as given: a semantic version, or a partial one such as ``3.7``."""
    parse_version(text.strip())
    return text.strip()


def parse_version(text: str) -> Version:
    """The version a text stands for; what a partial one leaves out is 0."""
    if len(text) > MAX_VERSION_CHARS:
        raise ValueError(f"{_EXPECTED}, of at most {MAX_VERSION_CHARS} characters")
    partial = _PARTIAL.fullmatch(text)
    full = text if not partial else f"{text}.0" if partial.group(2) else f"{text}.0.0"
    try:
        if not text.isascii():  # the library takes every script's digits
            raise ValueError(_EXPECTED)
        return Version(full)
    except ValueError as error:
        raise ValueError(_EXPECTED) from error


def spec_text(text: str) -> str | None:
    """A dependency's version as given, without blanks; None (any version) for an empty one."""
    compact = "".join(text.split())
    if not compact:
        return None
    parse_spec(compact)
    return compact


def parse_spec(text: str) -> SimpleSpec:
    """The spec a dependency's version stands for. One that starts with a digit means exactly that version."""
    if len(text) > MAX_SPEC_CHARS:
        raise ValueError(f"expected a version spec of at most {MAX_SPEC_CHARS} characters")
    try:
        if not text.isascii():
            raise ValueError("expected plain digits and letters")
        return SimpleSpec(f"=={text}" if text[:1].isdigit() else text)
    except ValueError as error:
        raise ValueError(
            'expected a version such as "1.2.3" or a spec such as ">=1.2", "~1.2.0" or ">=1.0,<2.0"'
        ) from error
