"""What an old repository's mod lacks, and filling it in: functions of data.

Owns the rule what counts as missing, the defaults (those of a description), and the comparison of what is there with
what was found. What always holds: no size, sum or entry that is there is changed, and keys that nobody knows stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from knossos.errors import KnossosError
from knossos.packaging.archives import Entry
from knossos.packaging.assembly import Contents, assemble
from knossos.packaging.description import Mod, parse_request
from knossos.packaging.description.request import ConversionRequest

#: Index of a package in its mod, and of a file in that.
Place = tuple[int, int]

#: What a repository says of a file or a package beyond its description.
_FILE_RESULTS = ("filesize", "md5sum", "checksum")


@dataclass(frozen=True)
class Found:
    """What a file turned out to be. ``entries`` is None for one that is no archive."""

    size: int
    md5: str
    sha256: str
    entries: Sequence[Entry] | None


def with_defaults(data: Any) -> tuple[dict[str, Any], Mod]:
    """A mod of a repository with the defaults filled in, and the same as the description that it was made of.

    Raises:
        DescriptionInvalid: it breaks a rule of descriptions.
    """
    request: ConversionRequest = parse_request(json.dumps({"mods": [_as_description(data)]}))
    (mod,) = request.mods
    filled = cast("dict[str, Any]", _merged(data, mod.model_dump(mode="json")))
    for package in filled["packages"]:
        package["filelist"] = package.get("filelist") or []
    return filled, mod


def wanted_files(mod: dict[str, Any]) -> set[Place]:
    """The files that must be read: of each something is missing that it alone can tell."""
    packages = list(enumerate(mod["packages"]))
    if any(package["files"] and not package["filelist"] for _, package in packages):
        # Which file comes from where is decided for all of the mod at once.
        return {(number, position) for number, package in packages for position in range(len(package["files"]))}
    wanted = set()
    for number, package in packages:
        entries = [item for item in package["filelist"] if isinstance(item, dict)]
        lacking = {str(item.get("archive")) for item in entries if not _has_sums(item)}
        for position, file in enumerate(package["files"]):
            if not _has_sums(file) or not file.get("filesize") or file["filename"] in lacking:
                wanted.add((number, position))
    return wanted


def identity_of(file: dict[str, Any]) -> object:
    """The same for files that are the same: by a checksum where there is one, else by name and links."""
    sha256, md5 = _sha256(file), file.get("md5sum")
    name = (file["filename"], file.get("is_archive", True))
    if sha256 or isinstance(md5, str):
        return (*name, sha256 or str(md5).lower())
    return (*name, *sorted(file["urls"]))


def fill_mod(mod: dict[str, Any], described: Mod, known: Mapping[Place, Found]) -> Iterator[str]:
    """Fill in what was found out about files; yields what is not as the mod says, in words."""
    good: dict[Place, Found] = {}
    for place, found in known.items():
        file = mod["packages"][place[0]]["files"][place[1]]
        wrong = list(_wrong_file(file, found))
        yield from wrong
        if not wrong:
            good[place] = found
            _set_sums(file, found.md5, found.sha256)
            file["filesize"] = found.size
    for number, package in enumerate(mod["packages"]):
        names = {file["filename"]: (number, position) for position, file in enumerate(package["files"])}
        yield from _fill_list(package, {name: good.get(place) for name, place in names.items()})
    missing = [number for number, package in enumerate(mod["packages"]) if package["files"] and not package["filelist"]]
    if missing and len(good) == sum(len(package["files"]) for package in mod["packages"]):
        yield from _make_lists(mod, described, missing, good)


def _wrong_file(file: dict[str, Any], found: Found) -> Iterator[str]:
    size = file.get("filesize")
    if size and size != found.size:
        yield f"{file['filename']}: it has {found.size:,} bytes, the repository says {size!r}"
    yield from _wrong_sums(file["filename"], file, found.md5, found.sha256)


def _wrong_sums(name: str, data: dict[str, Any], md5: str, sha256: str) -> Iterator[str]:
    stated = data.get("md5sum")
    if stated and str(stated).lower() != md5:
        yield f"{name}: its md5sum is {md5}, the repository says {stated}"
    if (known := _sha256(data)) and known != sha256:
        yield f"{name}: its SHA-256 is {sha256}, the repository says {known}"


def _fill_list(package: dict[str, Any], contents: Mapping[str, Found | None]) -> Iterator[str]:
    """``contents``: what is known of each of the package's files; None where that cannot be said or was not needed."""
    entries = {
        name: {entry.name: entry for entry in found.entries}
        for name, found in contents.items()
        if found is not None and found.entries is not None
    }
    for item in package["filelist"]:
        if not isinstance(item, dict):
            yield f"filelist: {item!r} is no entry"
            continue
        archive, inner = str(item.get("archive")), item.get("orig_name")
        if archive not in contents:
            if not _has_sums(item):
                yield f"{item.get('filename')}: the archive {archive} is not among the package's files"
            continue
        whole = contents[archive]
        if whole is None:
            continue
        entry: Entry | Found | None = whole
        if whole.entries is not None:
            entry = entries.get(archive, {}).get(_plain(inner if isinstance(inner, str) else ""))
        if entry is None:
            yield f"{item.get('filename')}: {archive} holds no {inner}"
            continue
        wrong = list(_wrong_sums(f"{archive}: {inner or item.get('filename')}", item, entry.md5, entry.sha256))
        yield from wrong
        if not wrong:
            _set_sums(item, entry.md5, entry.sha256)
            item.setdefault("orig_name", None)


def _make_lists(
    mod: dict[str, Any], described: Mod, missing: Sequence[int], known: Mapping[Place, Found]
) -> Iterator[str]:
    """Work out the filelist of packages that have none, as packaging does."""
    contents = {place: Contents(found.size, found.md5, found.sha256, found.entries) for place, found in known.items()}
    try:
        assembly = assemble(described, contents)
    except KnossosError as error:
        yield error.message
        return
    for number in missing:
        mod["packages"][number]["filelist"] = [
            {
                "filename": path,
                "archive": origin.archive,
                "orig_name": origin.name,
                "md5sum": origin.md5,
                "checksum": ["sha256", origin.sha256],
            }
            for path, origin in assembly.filelists[number]
        ]
    mod["actions"] = [action.model_dump(mode="json") for action in assembly.actions]


def _as_description(data: Any) -> Any:
    """The mod without what only a repository has."""
    if not isinstance(data, dict) or not isinstance(data.get("packages"), list):
        return data
    return {**data, "packages": [_package_as_description(package) for package in data["packages"]]}


def _package_as_description(package: Any) -> Any:
    if not isinstance(package, dict):
        return package
    plain = {key: value for key, value in package.items() if key != "filelist"}
    if isinstance(plain.get("files"), list):
        plain["files"] = [
            {key: value for key, value in file.items() if key not in _FILE_RESULTS} if isinstance(file, dict) else file
            for file in plain["files"]
        ]
    return plain


def _merged(original: Any, filled: Any) -> Any:
    """``filled``, with the keys of ``original`` that it does not have. Lists belong together item by item."""
    if isinstance(original, dict) and isinstance(filled, dict):
        return {**original, **{key: _merged(original.get(key), value) for key, value in filled.items()}}
    if isinstance(original, list) and isinstance(filled, list) and len(original) == len(filled):
        return [_merged(one, other) for one, other in zip(original, filled, strict=True)]
    return filled


def _set_sums(data: dict[str, Any], md5: str, sha256: str) -> None:
    data["md5sum"] = md5
    data["checksum"] = ["sha256", sha256]


def _has_sums(data: dict[str, Any]) -> bool:
    return bool(_sha256(data)) and isinstance(data.get("md5sum"), str) and bool(data["md5sum"])


def _sha256(data: dict[str, Any]) -> str | None:
    checksum = data.get("checksum")
    if isinstance(checksum, list) and len(checksum) == 2 and checksum[0] == "sha256" and isinstance(checksum[1], str):
        return checksum[1].lower()
    return None


def _plain(name: str) -> str:
    """A path inside an archive as packaging writes it; old lists begin some with "./"."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
