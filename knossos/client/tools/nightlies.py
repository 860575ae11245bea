"""The command ``nightlies``: a repository of the engine's nightly builds, from a directory listing.

Owns which folders of the listing are looked at, and what is kept of an earlier run. The archives are downloaded and
read by packaging. What always holds: the output is replaced by a complete one after each build, so a run that is ended
has lost at most the build that it was at; a build that is in the output is not fetched again.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knossos.client.screens import Screen
from knossos.client.tools.builds import Build, build_key, executables_of, find_builds, packages_of, version_of
from knossos.client.tools.errors import ToolFailed
from knossos.client.tools.listing import ListingEntry, read_listing
from knossos.client.tools.reporting import ScreenReporter
from knossos.client.tools.sources import read_repository
from knossos.errors import InvalidInput, KnossosError
from knossos.outgoing import OutgoingHttp
from knossos.packaging.conversion import Surroundings, package
from knossos.packaging.description import ConversionRequest, Mod
from knossos.packaging.output_file import check_target, json_pieces, write_output
from knossos.packaging.repository import RepositoryMod
from knossos.setting_kinds import MIB
from knossos.settings import Settings

#: Folders of a listing that are looked into, and how deep they may lie.
MAX_FOLDERS = 2000
MAX_DEPTH = 2
#: Most bytes of one listing.
MAX_LISTING_BYTES = 32 * MIB


@dataclass(frozen=True)
class Wanted:
    """What the repository shall say of the engine."""

    id: str
    title: str
    description: str = ""
    #: Version of builds whose names do not say theirs, such as "24.3.0".
    base_version: str = ""
    #: Only so many of the newest builds are fetched; 0: all.
    newest: int = 0


def make_nightlies(settings: Settings, screen: Screen, listing: str, target: str, wanted: Wanted) -> None:
    """Bring the repository at ``target`` up to the builds that the listing has.

    Raises:
        InvalidInput: the id or the title cannot be one, or the output that is there is no repository.
        ToolFailed: builds could not be packaged; the others are written.
    """
    check_target(target)
    _check(wanted)
    http = OutgoingHttp(settings)
    try:
        known = _known(target, http)
        builds, unread = _find(http, listing, screen, known)
    finally:
        http.close()
    fresh = [build for build in builds if not {file.name for file in build.files} <= known.files(build.key)]
    if wanted.newest:
        kept = builds[-wanted.newest :]
        fresh = [build for build in fresh if build in kept]
    screen.note(f"Builds that are listed: {len(builds):,}; new ones: {len(fresh):,}")
    if not builds and not known.mods and not unread:
        raise ToolFailed(f"{listing}: expected files such as nightly_20241118_1a2b3c4-builds-Win64.zip")
    reporter, failed = ScreenReporter(screen), []
    for number, build in enumerate(reversed(fresh)):
        reporter.share = (number / len(fresh), (number + 1) / len(fresh))
        try:
            made = _package(settings, reporter, build, wanted)
        except KnossosError as error:
            failed.append(build.key)
            screen.note(f"{build.key}: {error.message}")
            continue
        known.put(build.key, made)
        _write(target, known)
    if not fresh and not Path(target).exists():
        _write(target, known)
    sentences = []
    if failed:
        sentences.append(f"{len(failed)} of {len(fresh)} new builds could not be packaged: {', '.join(failed)}")
    if unread:
        sentences.append(f"folders that could not be looked into: {', '.join(unread)}")
    if sentences:
        raise ToolFailed("; ".join(sentences))
    screen.note(f"Builds in all: {len(known.mods):,}: {target}")


class Known:
    """The builds of the output, by their keys; what else is in it stays."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data
        self.mods: dict[str, dict[str, Any]] = {}
        self.others: list[Any] = []
        for mod in data["mods"]:
            key = _key_of(mod)
            if key is None:
                self.others.append(mod)
            else:
                self.mods[key] = mod

    def files(self, key: str) -> set[str]:
        packages = self.mods.get(key, {}).get("packages") or []
        return {file["filename"] for package in packages for file in package["files"]}

    def put(self, key: str, mod: dict[str, Any]) -> None:
        self.mods[key] = mod


def _key_of(mod: Any) -> str | None:
    """``20241118+1a2b3c4`` of a version ``24.3.0-20241118+1a2b3c4``."""
    version = mod.get("version") if isinstance(mod, dict) else None
    return version.partition("-")[2] or None if isinstance(version, str) and "+" in version else None


def _known(target: str, http: OutgoingHttp) -> Known:
    if target == "-" or not Path(target).is_file():
        return Known({"mods": []})
    known = Known(read_repository(target, http))
    try:
        for key in known.mods:
            known.files(key)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{target}: expected a repository that this command has written") from error
    return known


def _find(http: OutgoingHttp, listing: str, screen: Screen, known: Known) -> tuple[list[Build], list[str]]:
    """The builds of a listing and the folders below it, and the addresses of folders that could not be looked into.

    A folder whose build is known is not looked into, but for the newest one's: files may still be added to that.

    Raises:
        InvalidInput, OutgoingError: the listing itself cannot be had.
    """
    finished = set(sorted(known.mods)[:-1])
    files: list[tuple[str, str]] = []
    unread: list[str] = []
    waiting, looked = [(listing, 0)], 0
    while waiting:
        url, depth = waiting.pop(0)
        looked += 1
        try:
            entries = _entries(http, url)
        except KnossosError as error:
            if depth == 0:
                raise
            unread.append(url)
            screen.note(error.message if url in error.message else f"{url}: {error.message}")
            continue
        for entry in entries:
            if not entry.is_folder:
                files.append((entry.name, entry.url))
            elif depth < MAX_DEPTH and looked + len(waiting) < MAX_FOLDERS and build_key(entry.name) not in finished:
                waiting.append((entry.url, depth + 1))
        screen.show("progress", [looked / (looked + len(waiting)), f"{looked:,} listings"])
    return find_builds(files), unread


def _entries(http: OutgoingHttp, url: str) -> list[ListingEntry]:
    with http.open(url) as reply:
        if reply.status != 200:
            raise InvalidInput(f"{url} answers {reply.status}; expected a directory listing")
        return read_listing(reply.url, reply.headers.get("Content-Type", ""), reply.text(MAX_LISTING_BYTES))


def _package(settings: Settings, reporter: ScreenReporter, build: Build, wanted: Wanted) -> dict[str, Any]:
    mod = Mod(
        id=wanted.id,
        title=wanted.title,
        # The programs say the version, and they are not here yet.
        version=f"0.0.0-{build.key}",
        type="engine",
        description=wanted.description,
        stability="nightly",
        last_update=build.day.isoformat(),
        packages=packages_of(build),
    )
    with tempfile.TemporaryDirectory(prefix="knossos-") as folder:
        work = Path(folder) / "work"
        work.mkdir()
        # What is remembered of archives is of no use to another run, which does not fetch them again.
        around = Surroundings(settings.model_copy(update={"data_path": Path(folder) / "data"}), reporter, work, None)
        data: dict[str, Any] = package(ConversionRequest(mods=[mod]), around)
    made = data["mods"][0]
    for part, file in zip(made["packages"], build.files, strict=True):
        paths = [entry["filename"] for entry in part["filelist"]]
        found = executables_of(paths, file.platform)
        if not found:
            reporter.warning(f"{file.name}: there is no program in it")
        part["executables"] = [one.model_dump(mode="json") for one in found]
    made["version"] = f"{_base_version(build, made, wanted)}-{build.key}"
    return RepositoryMod.model_validate(made).model_dump(mode="json")


def _base_version(build: Build, made: dict[str, Any], wanted: Wanted) -> str:
    programs = [one["file"] for part in made["packages"] for one in part["executables"]]
    version = version_of(programs) or build.version or wanted.base_version
    if not version:
        raise ToolFailed("no program's name says the engine's version; give it with --base-version")
    return version


def _write(target: str, known: Known) -> None:
    mods = sorted(known.mods.values(), key=lambda mod: str(mod["version"]).partition("-")[2])
    days = [day for mod in mods for day in (mod.get("first_release"), mod.get("last_update")) if day]
    for mod in mods:
        mod["first_release"] = min(days)
    data = {**known.data, "generated": int(time.time()), "mods": [*known.others, *mods]}
    write_output(target, itertools.chain(json_pieces(data), "\n"))


def _check(wanted: Wanted) -> None:
    problems: Sequence[tuple[str, str]] = []
    try:
        Mod(id=wanted.id, title=wanted.title, version=f"{wanted.base_version or '0.0.0'}-20200101+check")
    except ValueError as error:
        problems = [
            (str(one["loc"][0]), one["msg"].removeprefix("Value error, ")) for one in getattr(error, "errors", list)()
        ]
    if problems:
        options = {"version": "base-version"}
        errors = [{"path": f"--{options.get(name, name)}", "message": text} for name, text in problems]
        raise InvalidInput("The engine cannot be called that.", errors=errors)
