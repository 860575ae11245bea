"""The result of a conversion as a tree for people: packages, their archives, and each installed file's size.

A pure function. The repository JSON has no sizes of single files; they come from what is known of the archives'
contents. Where an archive is not known here (another machine has read it), its files have no size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: Sizes in bytes by path inside an archive, for the archive with this SHA-256; None where it is not known.
SizesOf = Callable[[str], Mapping[str, int] | None]

#: Most files that are listed of one package.
MAX_ENTRIES = 20_000


def result_tree(repository: Mapping[str, Any], sizes_of: SizesOf) -> dict[str, Any]:
    """What /api/tasks/<ticket>/tree answers, for a repository ``{"mods": [...]}``."""
    mods = repository.get("mods", [])
    return {
        "mods": [
            {
                "id": mod["id"],
                "title": mod["title"],
                "version": mod["version"],
                "packages": [_package(package, sizes_of) for package in mod.get("packages", [])],
            }
            for mod in mods
        ]
    }


def _package(package: Mapping[str, Any], sizes_of: SizesOf) -> dict[str, Any]:
    files = package.get("files", [])
    filelist = package.get("filelist", [])
    whole = {file["filename"]: file["filesize"] for file in files}
    inside = {file["filename"]: sizes_of(_sha256(file)) or {} for file in files if file.get("is_archive", True)}
    entries: list[list[Any]] = []
    total: int | None = 0
    for entry in filelist:
        archive, original = entry.get("archive"), entry.get("orig_name")
        size = whole.get(archive) if original is None else inside.get(archive, {}).get(original)
        total = None if total is None or size is None else total + size
        if len(entries) < MAX_ENTRIES:
            entries.append([entry["filename"], size])
    return {
        "name": package["name"],
        "status": package.get("status", ""),
        "files": [
            {"filename": file["filename"], "filesize": file["filesize"], "sha256": _sha256(file)} for file in files
        ],
        "entries": entries,
        "entry_count": len(filelist),
        "total_bytes": total,
    }


def _sha256(file: Mapping[str, Any]) -> str:
    match file.get("checksum"):
        case ["sha256", str(digest)]:
            return digest
    return ""
