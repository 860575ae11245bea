"""What lies in the mod's folder in the end: no two files at one path, and programs where the description says."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import islice

from knossos.packaging.archives import LinkKind
from knossos.packaging.description import environment
from knossos.packaging.description.problems import join_path
from knossos.packaging.tree import join
from knossos.publishing.checks.findings import Findings
from knossos.publishing.checks.spelling import Spellings
from knossos.publishing.checks.stored import StoredFiles
from knossos.publishing.documents import ReleaseDocument

#: Pairs of environments that are compared.
MOST_COMPARISONS = 500

#: Index of a package and of an entry in its filelist.
_Place = tuple[int, int]


def check_environments(document: ReleaseDocument, findings: Findings) -> None:
    for number, package in enumerate(document.packages):
        try:
            environment.expression_text(package.environment)
        except ValueError as error:
            findings.error("broken environments", join_path("packages", number, "environment"), str(error))


def check_clashes(document: ReleaseDocument, findings: Findings) -> None:
    """Refuse different files at one path, and a file where another needs a folder, where both can be installed.

    Paths that differ only in case are one, as on Windows and macOS. The same content twice does no harm.
    """
    may_meet = packages_may_meet(document)
    first_at: dict[str, _Place] = {}
    others: dict[str, list[_Place]] = {}
    for number, package in enumerate(document.packages):
        for index, entry in enumerate(package.filelist):
            key = entry.filename.casefold()
            if first_at.setdefault(key, (number, index)) != (number, index):
                others.setdefault(key, [first_at[key]]).append((number, index))
    for places in others.values():
        _check_one_path(document, places, may_meet, findings)
    for key, (number, index) in first_at.items():
        for above in _folders_above(key):
            files = others.get(above) or ([first_at[above]] if above in first_at else [])
            for one, other in files[:MOST_COMPARISONS]:
                if may_meet(one, number):
                    text = f"{_named(document, (one, other))} lies where {_named(document, (number, index))} needs a"
                    path = join_path("packages", number, "filelist", index, "filename")
                    findings.error("clashes of paths", path, f"{text} folder")
                    break


def _check_one_path(
    document: ReleaseDocument, places: list[_Place], may_meet: Callable[[int, int], bool], findings: Findings
) -> None:
    """One finding for each place that clashes with an earlier one is enough."""
    seen: dict[tuple[int, str], _Place] = {}
    for number, index in places:
        content = document.packages[number].filelist[index].checksum[1]
        for (other, other_content), place in islice(seen.items(), MOST_COMPARISONS):
            if other_content != content and may_meet(other, number):
                text = f"{_named(document, (number, index))} would overwrite {_named(document, place)}, another file"
                path = join_path("packages", number, "filelist", index, "filename")
                findings.error("clashes of paths", path, text)
                break
        seen.setdefault((number, content), (number, index))


def check_executables(document: ReleaseDocument, stored: StoredFiles, findings: Findings) -> None:
    """Each program must be among the installed files of its package, in exactly this spelling."""
    if not any(package.executables for package in document.packages):
        return
    installed = [_installed(document, number, stored) for number in range(len(document.packages))]
    owners = {path: number for number, paths in enumerate(installed) for path in paths}
    # A program of macOS is a folder.
    bundles = [{path for path in _folders(paths) if path.lower().endswith(".app")} for paths in installed]
    spellings = Spellings(owners)
    for number, package in enumerate(document.packages):
        for index, executable in enumerate(package.executables):
            path = join_path("packages", number, "executables", index, "file")
            if executable.file in installed[number] or executable.file in bundles[number]:
                continue
            elsewhere = owners.get(executable.file)
            if elsewhere is not None:
                name = document.packages[elsewhere].name
                text = f'{executable.file} is in the package "{name}", and missing where that one is not installed'
                findings.warning("programs of other packages", path, text)
                continue
            text = f"{executable.file} is not among the installed files{_hint(executable.file, spellings)}"
            findings.error("missing executables", path, text)


def _installed(document: ReleaseDocument, number: int, stored: StoredFiles) -> set[str]:
    """Paths of files and of symlinks, which no filelist names."""
    package = document.packages[number]
    paths = {entry.filename for entry in package.filelist}
    for index, file in enumerate(package.files):
        known = stored.get((number, index))
        if known is not None and known.inspection is not None:
            links = known.inspection.links
            paths |= {join(file.dest, link.name) for link in links if link.kind is LinkKind.SYMLINK}
    return paths


def _folders(installed: set[str]) -> set[str]:
    return {path[:at] for path in installed for at, character in enumerate(path) if character == "/"}


def _hint(wanted: str, spellings: Spellings) -> str:
    meant = spellings.meant_by(wanted)
    if meant is None:
        return ""
    is_spelling = spellings.same_but_for_case(wanted) is not None
    return f"; there is {meant}" + ("" if is_spelling else " (paths begin at the mod folder)")


def packages_may_meet(document: ReleaseDocument) -> Callable[[int, int], bool]:
    """Whether two packages, by their index, can be installed on one computer.

    After MOST_COMPARISONS different pairs of environments they are taken to be: no release has so many.
    """
    comparisons = 0

    @cache
    def exclude_each_other(one: str, other: str) -> bool:
        nonlocal comparisons
        comparisons += 1
        try:
            return comparisons <= MOST_COMPARISONS and environment.never_together(one, other)
        except ValueError:
            return False  # a broken one is reported by itself

    def may_meet(first: int, second: int) -> bool:
        if first == second:
            return True
        one, other = sorted((document.packages[first].environment, document.packages[second].environment))
        return not one or not other or not exclude_each_other(one, other)

    return may_meet


def _named(document: ReleaseDocument, place: _Place) -> str:
    package = document.packages[place[0]]
    return f'{package.filelist[place[1]].filename} of the package "{package.name}"'


def _folders_above(path: str) -> list[str]:
    return [path[:at] for at, character in enumerate(path) if character == "/"]
