"""Rules that look at several parts of a description at once: nothing that must be unique appears twice.

Works on plain data, so that these problems are reported along with those of single fields, whatever else is wrong.
Names are compared without case: they become files on systems that do not tell cases apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from knossos.packaging.description.problems import Problem, join_path, problem
from knossos.packaging.description.versions import parse_version


def repeated_mods(mods: Iterable[tuple[str, Any]]) -> list[Problem]:
    """Mods with the same id and version; each comes with its path."""
    problems: list[Problem] = []
    seen: dict[tuple[str, str], str] = {}
    for path, mod in mods:
        if not isinstance(mod, dict) or not isinstance(mod.get("id"), str) or not isinstance(mod.get("version"), str):
            continue
        key = (mod["id"].casefold(), _comparable(mod["version"]))
        if key in seen:
            problems.append(
                problem(
                    join_path(path, "id"),
                    f'expected each id and version once, but {mod["id"]} {mod["version"]} is already at "{seen[key]}"',
                )
            )
        seen.setdefault(key, path)
    return problems


def repeated_names(path: str, mod: Any) -> list[Problem]:
    """Package names that appear twice in a mod, and file names that appear twice in a package."""
    problems: list[Problem] = []
    packages = list(_items(join_path(path, "packages"), _member(mod, "packages")))
    problems += _repeated(
        ((join_path(place, "name"), _member(package, "name")) for place, package in packages),
        "expected each package name once in a mod",
    )
    for place, package in packages:
        problems += _repeated(_file_names(place, package), "expected each file name once in a package")
    return problems


def _file_names(path: str, package: Any) -> Iterator[tuple[str, Any]]:
    for place, item in _items(join_path(path, "files"), _member(package, "files")):
        if isinstance(item, dict):
            yield join_path(place, "filename"), item.get("filename")
        elif isinstance(item, list) and len(item) == 2 and isinstance(item[1], dict):
            for name in item[1]:
                yield join_path(place, 1, name), name


def _repeated(named: Iterable[tuple[str, Any]], expected: str) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for path, name in named:
        if not isinstance(name, str):
            continue
        key = name.strip().casefold()
        if key in seen:
            problems.append(problem(path, f'{expected}, but "{name}" is already at "{seen[key]}"'))
        seen.setdefault(key, path)
    return problems


def _comparable(version: str) -> str:
    try:
        return str(parse_version(version.strip()))
    except ValueError:
        return version


def _member(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _items(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield join_path(path, index), item
