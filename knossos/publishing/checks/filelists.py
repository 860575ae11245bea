"""The list of installed files against what the archives really hold.

One client extracts everything and verifies what is listed; the other installs only what is listed. Both have the same
mod in the end only where every file of an archive is listed, with its right sum, and nothing else is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property

from knossos.packaging.archives import Inspection, LinkKind
from knossos.packaging.archives.errors import ArchiveNameRefused
from knossos.packaging.archives.names import safe_name
from knossos.packaging.description.names import relative_path
from knossos.packaging.description.problems import join_path
from knossos.publishing.checks.findings import Findings
from knossos.publishing.checks.spelling import Spellings
from knossos.publishing.checks.stored import StoredFile, StoredFiles
from knossos.publishing.documents import DocumentFile, DocumentInstalledFile, DocumentPackage, ReleaseDocument

#: Longest path in characters below the mod folder for which there is room on every Windows.
COMFORTABLE_PATH = 180

#: A file of an archive that is left out on purpose: package, entry of ``files``, path inside.
Dropped = AbstractSet[tuple[int, int, str]]

_KIND = "wrong entries of filelists"
_MISSING = "files of archives that are not listed"

#: Links that are followed from one symlink to the file it stands for.
_MOST_HOPS = 40


def check_filelists(
    document: ReleaseDocument, stored: StoredFiles, findings: Findings, dropped: Dropped = frozenset()
) -> None:
    """Compare every package's ``filelist`` with its archives.

    Args:
        dropped: files that no list needs to name, since an action deletes them.
    """
    owners = {file.filename: package.name for package in document.packages for file in package.files}
    for number, package in enumerate(document.packages):
        files = {file.filename: index for index, file in enumerate(package.files)}
        holds = {index: _Holds(package.files[index], stored.get((number, index))) for index in files.values()}
        listed: dict[int, set[str]] = {index: set() for index in files.values()}
        for place, entry in enumerate(package.filelist):
            path = join_path("packages", number, "filelist", place)
            _check_path(entry.filename, path, findings)
            source = files.get(entry.archive)
            if source is None:
                findings.error(_KIND, f"{path}.archive", _no_such_archive(entry.archive, package, owners))
                continue
            listed[source].add(entry.orig_name)
            holds[source].check(entry, path, findings)
        for index, held in holds.items():
            absent = {name for name in held.names - listed[index] if (number, index, name) not in dropped}
            _report_missing(package.files[index], absent, len(held.names), join_path("packages", number), findings)


def _check_path(filename: str, path: str, findings: Findings) -> None:
    if _is_plain(filename):
        return
    try:
        clean = relative_path(filename)
    except ValueError as error:
        findings.error(_KIND, f"{path}.filename", f'"{filename[:200]}": {error}')
        return
    if clean != filename:
        findings.error(_KIND, f"{path}.filename", f'expected "{clean}", but this is "{filename}"')
    elif len(filename) > COMFORTABLE_PATH:
        text = f"{filename} is longer than {COMFORTABLE_PATH} characters; with a player's folder in front it may be "
        findings.warning("long paths", f"{path}.filename", text + "longer than Windows can store")


def _is_plain(filename: str) -> bool:
    """A quick yes for what nearly all paths are, which keeps a list of a hundred thousand cheap."""
    if len(filename) > COMFORTABLE_PATH or not filename.isascii() or filename.startswith(" ") or "/ " in filename:
        return False
    try:
        return safe_name(filename, "") == filename != ""
    except ArchiveNameRefused:
        return False


def _no_such_archive(archive: str, package: DocumentPackage, owners: Mapping[str, str]) -> str:
    hint = f'; it belongs to the package "{owners[archive]}"' if archive in owners else ""
    known = ", ".join(file.filename for file in package.files[:5]) or "none"
    return f'the package has no file "{archive}" (its files: {known}){hint}'


def _report_missing(file: DocumentFile, absent: set[str], count: int, path: str, findings: Findings) -> None:
    if absent and len(absent) == count > 1:
        text = f"none of the {count:,} files in {file.filename} is listed"
        findings.error(_MISSING, f"{path}.filelist", text)
        return
    for name in sorted(absent):
        text = f"{name} is in {file.filename} and not listed; list it, or pack the archive without it"
        findings.error(_MISSING, f"{path}.filelist", text)


class _Holds:
    """What one entry of ``files`` holds, for looking entries of the filelist up in it."""

    def __init__(self, file: DocumentFile, known: StoredFile | None) -> None:
        self._file = file
        self._inspection: Inspection | None = known.inspection if known else None
        self._sums: dict[str, str] | None = None
        if not file.is_archive:
            self._sums = {file.filename: file.checksum[1]}
        elif self._inspection is not None:
            self._sums = {entry.name: entry.sha256 for entry in self._inspection.entries}
        found = self._inspection.links if self._inspection is not None else []
        self._links = {link.name: link.target for link in found if link.kind is LinkKind.SYMLINK}
        #: Files that a list has to name; empty where nobody knows what is in it. A symlink need not be listed.
        self.names: set[str] = set(self._sums or ())

    @cached_property
    def _spellings(self) -> Spellings:
        return Spellings(self._sums or ())

    def _hint(self, name: str) -> str:
        """What was probably meant."""
        meant = self._spellings.meant_by(name)
        return f'; there is "{meant}"' if meant is not None else ""

    def check(self, entry: DocumentInstalledFile, path: str, findings: Findings) -> None:
        if self._sums is None:
            return
        found = self._sums.get(entry.orig_name)
        if found is None:
            found = self._sums.get(file_behind(entry.orig_name, self._links))
        if found is None:
            text = f'{self._file.filename} holds no file "{entry.orig_name}"{self._hint(entry.orig_name)}'
            findings.error(_KIND, f"{path}.orig_name", text)
        elif entry.checksum[1] != found:
            text = f"{entry.orig_name} in {self._file.filename} has the SHA-256 {found}, not {entry.checksum[1]}"
            findings.error(_KIND, f"{path}.checksum", text)


def target_of_link(name: str, links: Mapping[str, str]) -> str:
    """The file that a symlink of an archive stands for; the name itself, where it is none.

    Args:
        links: the targets of all symlinks of the archive, by their names.
    """
    for _ in range(_MOST_HOPS):
        if name not in links:
            return name
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), links[name].replace("\\", "/")))
    return ""


def file_behind(name: str, links: Mapping[str, str]) -> str:
    """The file that a path leads to, also where folders on its way are symlinks; "" where it leads nowhere.

    Args:
        links: the targets of all symlinks of the archive, by their names.
    """
    way, ahead, hops = "", name.split("/"), 0
    while ahead:
        part = ahead.pop(0)
        if part == "..":
            way = way.rpartition("/")[0]
        elif part not in ("", "."):
            way = f"{way}/{part}" if way else part
        if way in links:
            hops += 1
            if hops > _MOST_HOPS:
                return ""
            ahead = [*links[way].replace("\\", "/").split("/"), *ahead]
            way = way.rpartition("/")[0]
    return way
