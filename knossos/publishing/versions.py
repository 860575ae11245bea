"""Versions of releases and of what they need, as the strictest mod manager reads them.

A release has three integers and an optional pre-release. A dependency asks for any version (None), for exactly one, or
for one of ``~ >= <= > <`` and a version. Texts are kept as given; two versions are the same where `version_key` is.
Functions raise ``ValueError`` that says what was expected.
"""

from __future__ import annotations

import re

from semantic_version import Version  # type: ignore[import-untyped]

from knossos.packaging.description.versions import MAX_VERSION_CHARS, parse_spec, parse_version

#: The integers of a version fit into a client's 32 bits.
MAX_PART = 2**31 - 1

#: What may stand before the version of a dependency; longer ones first.
OPERATORS = ("~", ">=", "<=", ">", "<")

_FULL = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)(-[0-9A-Za-z.-]+)?")
_SPEC = re.compile(r"(~|>=|<=|>|<)?(.*)", re.DOTALL)


def release_version(text: str) -> str:
    """A release's version as given, without blanks around it."""
    text = text.strip()
    match = _FULL.fullmatch(text)
    if not match or any(len(part) > 10 or int(part) > MAX_PART for part in match.groups()[:3]):
        raise ValueError(
            'expected a version of three integers and an optional pre-release, such as "1.2.3" or "1.2.3-rc.1"'
        )
    parse_version(text)  # leading zeros, empty parts, its length
    return text


def version_key(text: str) -> str:
    """What is the same for versions that are the same: players' folders do not tell cases apart."""
    return text.strip().lower()


def comparable(text: str) -> Version:
    """The version to sort by."""
    return parse_version(text)


def dependency_version(text: str) -> str | None:
    """A dependency's version without blanks; None (any) for an empty one."""
    compact = "".join(text.split())
    if not compact:
        return None
    operator, version = _split(compact)
    try:
        return operator + release_version(version)
    except ValueError as error:
        raise ValueError(
            'expected nothing (null) for any version, an exact one such as "1.2.3", or one of ~ >= <= > < and a '
            'version of three integers, such as ">=1.2.3": the mod managers understand nothing else'
        ) from error


def satisfies(version: str, wanted: str | None) -> bool:
    """Whether a dependency that asks for ``wanted`` is met by a release of that version."""
    return wanted is None or bool(parse_spec(wanted).match(parse_version(version)))


def _split(text: str) -> tuple[str, str]:
    match = _SPEC.fullmatch(text)
    assert match is not None
    return match.group(1) or "", match.group(2)


assert MAX_VERSION_CHARS <= 100, "the tables hold versions of 100 characters"
