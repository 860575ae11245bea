"""The repository as the stricter of the two clients reads it: a wrong type anywhere, and it drops the whole file.

The names and types are those of nebula.md; nothing is converted. Fields that this table does not know are refused too,
so that it stays complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Rule = Callable[[Any, str], None]

_HEX = re.compile(r"[0-9a-f]{64}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_WANTED = re.compile(rf"(~|>=|<=|>|<)?{_VERSION.pattern}")


class NotReadable(AssertionError):
    """What the client would choke on, with its path."""


def _need(holds: bool, path: str, what: str, value: Any) -> None:
    if not holds:
        raise NotReadable(f"{path}: expected {what}, found {value!r}")


def text(value: Any, path: str) -> None:
    _need(type(value) is str, path, "a string", value)


def filled(value: Any, path: str) -> None:
    _need(type(value) is str and value != "", path, "a string with something in it", value)


def truth(value: Any, path: str) -> None:
    _need(type(value) is bool, path, "true or false", value)


def number(value: Any, path: str) -> None:
    _need(type(value) is int and value >= 0, path, "a whole number", value)


def url(value: Any, path: str) -> None:
    _need(type(value) is str and value.startswith(("http://", "https://")), path, "an absolute URL", value)


def matching(pattern: re.Pattern[str], what: str) -> Rule:
    def rule(value: Any, path: str) -> None:
        _need(type(value) is str and pattern.fullmatch(value) is not None, path, what, value)

    return rule


def one_of(*words: str) -> Rule:
    return lambda value, path: _need(value in words and type(value) is str, path, f"one of {words}", value)


def or_null(rule: Rule) -> Rule:
    return lambda value, path: None if value is None else rule(value, path)


def array(rule: Rule, *, least: int = 0) -> Rule:
    def check(value: Any, path: str) -> None:
        _need(type(value) is list and len(value) >= least, path, f"an array of {least} or more", value)
        for position, item in enumerate(value):
            rule(item, f"{path}[{position}]")

    return check


def record(**fields: Rule) -> Rule:
    def check(value: Any, path: str) -> None:
        _need(type(value) is dict, path, "an object", value)
        _need(set(value) == set(fields), path, f"the fields {sorted(fields)}", sorted(value))
        for name, rule in fields.items():
            rule(value[name], f"{path}.{name}")

    return check


def checksum(value: Any, path: str) -> None:
    _need(type(value) is list and len(value) == 2 and value[0] == "sha256", path, '["sha256", hex]', value)
    _need(_HEX.fullmatch(value[1]) is not None, path, "a SHA-256 in lower case", value)


VERSION = matching(_VERSION, "a version of three numbers")
DAY = matching(_DAY, "YYYY-MM-DD")
KIND = one_of("mod", "tc", "engine", "tool", "ext")
STABILITY = or_null(one_of("stable", "rc", "nightly"))

PACKAGE = record(
    name=filled,
    notes=text,
    status=one_of("required", "recommended", "optional"),
    folder=text,
    is_vp=truth,
    environment=text,
    dependencies=array(
        record(id=filled, version=or_null(matching(_WANTED, "a version that NET understands")), packages=array(filled))
    ),
    executables=array(
        record(
            file=filled,
            label=or_null(text),
            properties=lambda value, path: _need(
                type(value) is dict
                and set(value) <= {"x64", "sse2", "avx", "avx2"}
                and all(type(one) is bool for one in value.values()),
                path,
                "an object of booleans",
                value,
            ),
        )
    ),
    files=array(
        record(
            filename=filled, dest=text, checksum=checksum, filesize=number, is_archive=truth, urls=array(url, least=1)
        )
    ),
    filelist=array(record(filename=filled, archive=filled, orig_name=filled, checksum=checksum)),
)

MOD = record(
    id=filled,
    title=filled,
    version=VERSION,
    type=KIND,
    parent=or_null(filled),
    private=truth,
    stability=STABILITY,
    description=text,
    notes=text,
    cmdline=text,
    logo=or_null(url),
    tile=or_null(url),
    banner=or_null(url),
    screenshots=array(url),
    attachments=array(url),
    videos=array(url),
    release_thread=or_null(url),
    first_release=DAY,
    last_update=DAY,
    mod_flag=array(filled),
    packages=array(PACKAGE),
)

MINIMAL = record(
    id=filled,
    title=filled,
    version=VERSION,
    stability=STABILITY,
    tile=or_null(url),
    first_release=DAY,
    last_update=DAY,
    type=KIND,
)


def full_mod(mod: Any, path: str = "mod") -> None:
    """Raise `NotReadable` where a client could not read this full mod."""
    MOD(mod, path)
    if mod["type"] == "mod":
        filled(mod["parent"], f"{path}.parent")
    if mod["type"] == "tc":
        _need(mod["parent"] is None, f"{path}.parent", "null for a total conversion", mod["parent"])


def repository(data: bytes) -> list[dict[str, Any]]:
    """The mods of a ``repo.json``, each checked."""
    found = json.loads(data)
    record(mods=array(full_mod))(found, "repository")
    return list(found["mods"])


def minimal_repository(data: bytes) -> list[dict[str, Any]]:
    """The mods of a ``repo_minimal.json``, each checked."""
    found = json.loads(data)
    record(mods=array(MINIMAL))(found, "repository")
    return list(found["mods"])
