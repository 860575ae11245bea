"""The links of a repository: which there are, and which files of which mods they are for. Pure: data in, data out.

Repositories of all ages are read: what is not as expected is named as a problem of its mod, and the rest is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class ListedFile:
    """A file of a package as the repository lists it. ``size`` is None where it does not say."""

    name: str
    size: int | None
    md5: str | None
    sha256: str | None
    urls: tuple[str, ...]


@dataclass
class ListedMod:
    id: str
    title: str
    version: str
    #: Pairs of a package's name and a file.
    files: list[tuple[str, ListedFile]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def listed_mods(repository: dict[str, Any]) -> list[ListedMod]:
    """The mods of a repository, sorted by title, id and version as they are written."""
    found = []
    for number, data in enumerate(repository["mods"]):
        if not isinstance(data, dict):
            found.append(ListedMod(f"mods.{number}", "", "", problems=["this is no mod"]))
            continue
        mod = ListedMod(_text(data, "id") or f"mods.{number}", _text(data, "title"), _text(data, "version"))
        mod.files = list(_files(data, mod.problems))
        found.append(mod)
    return sorted(found, key=lambda mod: (mod.title.casefold(), mod.id, mod.version))


def links_of(mods: list[ListedMod]) -> list[str]:
    """Every link once, in the order in which they come up."""
    return list(dict.fromkeys(url for mod in mods for _, file in mod.files for url in file.urls))


def host_of(url: str) -> str:
    """The host with its port, which is what requests are spread over; "" for what is no address."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _files(data: dict[str, Any], problems: list[str]) -> Iterator[tuple[str, ListedFile]]:
    for package in _objects(data, "packages", problems):
        name = _text(package, "name")
        for file in _objects(package, "files", problems):
            urls = file.get("urls")
            if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
                problems.append(f"{_text(file, 'filename') or '(no name)'}: its urls are no list of texts")
                continue
            if not urls:
                problems.append(f"{_text(file, 'filename')}: it has no link")
            size, checksum = file.get("filesize"), file.get("checksum")
            known = isinstance(size, int) and not isinstance(size, bool) and size > 0
            sha256 = (
                checksum[1]
                if isinstance(checksum, list) and len(checksum) == 2 and checksum[0] == "sha256"
                else checksum
            )
            yield (
                name,
                ListedFile(
                    name=_text(file, "filename"),
                    size=size if known else None,
                    md5=_text(file, "md5sum").lower() or None,
                    sha256=sha256.lower() if isinstance(sha256, str) else None,
                    urls=tuple(dict.fromkeys(urls)),
                ),
            )


def _objects(data: dict[str, Any], key: str, problems: list[str]) -> Iterator[dict[str, Any]]:
    items = data.get(key) or []
    if not isinstance(items, list):
        problems.append(f"{key} is no list")
        return
    for number, item in enumerate(items):
        if isinstance(item, dict):
            yield item
        else:
            problems.append(f"{key}.{number} is not as expected")


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""
