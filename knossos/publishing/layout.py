"""Where the files of a release lie in the end, and what must become of its archives so that they lie there.

Clients differ in what they do beyond unpacking: one extracts an archive straight into ``<mod>/<dest>`` and knows
neither actions nor renames. So what is published always has ``filename == dest/orig_name``. `apply_actions_to` turns
actions into a list of installed files, `plan_repacking` says which archives need another ``dest`` and which have to be
packed anew. Pure: data in, data out.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from knossos.packaging.actions import ActionImpossible, apply_actions
from knossos.packaging.archives import LinkKind
from knossos.packaging.description import Action
from knossos.packaging.tree import Origin, Tree, TreeTooBig, join
from knossos.publishing.checks import FORMATS, Findings, StoredFiles
from knossos.publishing.checks.filelists import target_of_link
from knossos.publishing.documents import DocumentInstalledFile, DocumentPackage, ReleaseDocument

#: Package, entry of its ``files``, path inside.
Inside = tuple[int, int, str]


@dataclass(frozen=True)
class Layout:
    """A release with the files as they are installed."""

    document: ReleaseDocument
    #: Files of archives that are not installed.
    dropped: frozenset[Inside] = frozenset()
    #: Where symlinks lie, if elsewhere than they are unpacked to; None: an action deletes it.
    links: Mapping[Inside, str | None] = field(default_factory=dict)


def apply_actions_to(
    document: ReleaseDocument, stored: StoredFiles, actions: Sequence[Action], findings: Findings, most_files: int
) -> Layout:
    """Work out what a release installs.

    The list of a package's files may be left out: then it is made from what its archives hold. Where there are actions
    it may say what there is before them, or what there is after them.

    Args:
        most_files: how many files and folders there may be.
    """
    if not actions:
        return Layout(_with_lists(document, stored))
    places = [
        (number, index) for number, package in enumerate(document.packages) for index in range(len(package.files))
    ]
    for number, index in places:
        known = stored.get((number, index))
        if known is None or (document.packages[number].files[index].is_archive and known.inspection is None):
            text = "actions can be tried only when all archives are stored and can be read"
            findings.warning("actions", "actions", text)
            return Layout(document)
    tree = Tree(most_files)
    before = _origins(document, stored)
    try:
        for origin in before:
            tree.add(origin)
        for warning in apply_actions(tree, actions):
            findings.warning("actions", "actions", warning)
    except ActionImpossible as error:
        findings.error("actions", f"actions.{error.action}", str(error))
        return Layout(document)
    except TreeTooBig as error:
        findings.error("actions", "actions", str(error))
        return Layout(document)
    after = list(tree.files())
    kept = {(origin.package, origin.file, origin.name or "") for _, origin in after}
    everything = {(origin.package, origin.file, origin.name or ""): origin for origin in before}
    links: dict[Inside, str | None] = {where: None for where, origin in everything.items() if not origin.sha256}
    links |= {(origin.package, origin.file, origin.name or ""): path for path, origin in after if not origin.sha256}
    packages = [
        _with_filelist(
            package, number,
            [(path, origin) for path, origin in after if origin.package == number and origin.sha256],
            [origin for origin in before if origin.package == number and origin.sha256],
            findings,
        )
        for number, package in enumerate(document.packages)
    ]  # fmt: skip
    dropped = frozenset(where for where, origin in everything.items() if where not in kept and origin.sha256)
    return Layout(document.model_copy(update={"packages": packages}), dropped, links)


def with_symlinks_listed(layout: Layout, stored: StoredFiles) -> Layout:
    """The layout with an entry for each symlink that stands for a file, where the releaser gave none: what is not
    listed is not installed by a client that moves each ``orig_name`` to its ``filename``.

    Entries that lead through symlinked folders go: such a client has no symlinked folders, and could never install
    them. The files themselves are listed where they really lie.
    """
    taken = {entry.filename.casefold() for package in layout.document.packages for entry in package.filelist}
    packages = []
    for number, package in enumerate(layout.document.packages):
        found: list[DocumentInstalledFile] = []
        detours: set[tuple[str, str]] = set()
        for index, file in enumerate(package.files):
            known = stored.get((number, index))
            if known is None or known.inspection is None:
                continue
            sums = {entry.name: entry.sha256 for entry in known.inspection.entries}
            listed = {entry.orig_name: entry.filename for entry in package.filelist if entry.archive == file.filename}
            targets = {link.name: link.target for link in known.inspection.links if link.kind is LinkKind.SYMLINK}
            detours |= {(file.filename, name) for name in listed if target_of_link(name, targets) not in sums}
            for name in targets.keys() - listed.keys():
                sha256 = sums.get(target_of_link(name, targets))
                path = layout.links.get((number, index, name), join(file.dest, name))
                if sha256 is not None and path is not None and path.casefold() not in taken:
                    taken.add(path.casefold())
                    found.append(
                        DocumentInstalledFile(
                            filename=path, archive=file.filename, orig_name=name, checksum=("sha256", sha256)
                        )
                    )
        found.sort(key=lambda entry: entry.filename)
        kept = [entry for entry in package.filelist if (entry.archive, entry.orig_name) not in detours]
        changed = found or detours
        packages.append(package.model_copy(update={"filelist": [*kept, *found]}) if changed else package)
    return replace(layout, document=layout.document.model_copy(update={"packages": packages}))


def _origins(document: ReleaseDocument, stored: StoredFiles) -> list[Origin]:
    """Every file and symlink as it is unpacked, of what is stored; a symlink has no sum."""
    found: list[Origin] = []
    for number, package in enumerate(document.packages):
        for index, file in enumerate(package.files):
            known = stored.get((number, index))
            if known is None:
                continue
            inspection = known.inspection
            if inspection is None:
                placed = join(file.dest, file.filename)
                found.append(
                    Origin(number, index, file.filename, file.filename, placed, 0, "", file.checksum[1])
                )  # fmt: skip
                continue
            held = [(entry.name, entry.sha256) for entry in inspection.entries]
            held += [(link.name, "") for link in inspection.links if link.kind is LinkKind.SYMLINK]
            for name, sha256 in held:
                found.append(Origin(number, index, file.filename, name, join(file.dest, name), 0, "", sha256))
    return found


def _with_lists(document: ReleaseDocument, stored: StoredFiles) -> ReleaseDocument:
    """The release with the list of files of each package that came without one, as far as its archives can be read."""
    made: dict[int, list[DocumentInstalledFile]] = {
        number: [] for number, package in enumerate(document.packages) if package.files and not package.filelist
    }
    for origin in _origins(document, stored) if made else []:
        if origin.package in made and origin.sha256 and _is_known(document, stored, origin):
            made[origin.package].append(
                DocumentInstalledFile(
                    filename=origin.placed,
                    archive=origin.archive,
                    orig_name=origin.name or "",
                    checksum=("sha256", origin.sha256),
                )
            )
    packages = [
        package.model_copy(update={"filelist": made[number]}) if number in made else package
        for number, package in enumerate(document.packages)
    ]
    return document.model_copy(update={"packages": packages})


def _is_known(document: ReleaseDocument, stored: StoredFiles, origin: Origin) -> bool:
    known = stored.get((origin.package, origin.file))
    is_archive = document.packages[origin.package].files[origin.file].is_archive
    return known is not None and (known.inspection is not None or not is_archive)


def _with_filelist(
    package: DocumentPackage,
    number: int,
    after: Sequence[tuple[str, Origin]],
    before: Sequence[Origin],
    findings: Findings,
) -> DocumentPackage:
    given = {(entry.filename, entry.archive, entry.orig_name): place for place, entry in enumerate(package.filelist)}
    wanted = {(path, origin.archive, origin.name or "") for path, origin in after}
    unmoved = {(origin.placed, origin.archive, origin.name or "") for origin in before}
    if given and given.keys() != wanted and given.keys() != unmoved:
        for key in given.keys() - wanted:
            text = f"after the actions there is no {key[0]} made of {key[2]} in {key[1]}"
            findings.error("filelists and actions", f"packages.{number}.filelist.{given[key]}.filename", text)
        for filename, archive, _ in sorted(wanted - given.keys()):
            text = f"after the actions there is {filename} of {archive}, which is not listed"
            findings.error("filelists and actions", f"packages.{number}.filelist", text)
        return package
    sums = {(entry.archive, entry.orig_name): entry.checksum for entry in package.filelist}
    filelist = [
        DocumentInstalledFile(
            filename=path,
            archive=origin.archive,
            orig_name=origin.name or "",
            # What the releaser said of it is compared like any other sum.
            checksum=sums.get((origin.archive, origin.name or ""), ("sha256", origin.sha256)),
        )
        for path, origin in after
    ]
    return package.model_copy(update={"filelist": filelist})


@dataclass(frozen=True)
class Repacking:
    """What must become of one file of a package."""

    package: int
    file: int
    #: The archive need only be unpacked elsewhere. None: it is packed anew, and then unpacked to the mod's folder.
    dest: str | None = None
    #: The new archive's name and contents: path in the mod folder -> path in the old archive.
    filename: str = ""
    contents: Mapping[str, str] = field(default_factory=dict)
    #: Its symlinks: path in the mod folder -> target.
    links: Mapping[str, str] = field(default_factory=dict)


def plan_repacking(layout: Layout, stored: StoredFiles) -> list[Repacking]:
    """The files of a release that cannot be published as they are, and what is to be done with each."""
    plan: list[Repacking] = []
    for number, package in enumerate(layout.document.packages):
        listed: dict[str, list[DocumentInstalledFile]] = {file.filename: [] for file in package.files}
        for entry in package.filelist:
            listed.setdefault(entry.archive, []).append(entry)
        names = {file.filename.casefold() for file in package.files}
        for index, file in enumerate(package.files):
            found = _plan_one(layout, stored, (number, index), listed[file.filename], names)
            if found is not None:
                plan.append(found)
    return plan


def _plan_one(
    layout: Layout,
    stored: StoredFiles,
    place: tuple[int, int],
    entries: Sequence[DocumentInstalledFile],
    names: set[str],
) -> Repacking | None:
    number, index = place
    file = layout.document.packages[number].files[index]
    known = stored.get(place)
    inspection = known.inspection if known is not None else None
    if file.urls or (inspection is None and (file.is_archive or known is None)):
        return None
    moved = {entry.filename: entry.orig_name for entry in entries}
    links = _links(layout, stored, place, moved)
    dropped = any(where[:2] == place for where in layout.dropped)
    if inspection is not None and inspection.format in FORMATS and not dropped and not inspection.has_backslashes:
        everything = [*moved.items(), *((path, name) for name, path in links.items() if path is not None)]
        if all(path == join(file.dest, name) for path, name in everything) and None not in links.values():
            return None
        shift = _common_shift(everything)
        if shift is not None and None not in links.values() and len(set(moved.values())) == len(moved):
            return Repacking(number, index, dest=shift)
    targets: dict[str, str] = {}
    if inspection is not None:
        finals = {name: path for path, name in moved.items()} | {name: path for name, path in links.items() if path}
        finals = _with_folders(finals) if links else finals
        for link in inspection.links:
            path = links.get(link.name)
            if path is not None:
                targets[path] = _new_target(link.name, link.target, path, finals)
    # A symlink that was listed as the file it stands for goes along as a symlink.
    contents = {path: name for path, name in moved.items() if name not in links}
    return Repacking(
        number, index, filename=_new_name(file.filename, bool(targets), names), contents=contents, links=targets
    )


def _links(
    layout: Layout, stored: StoredFiles, place: tuple[int, int], moved: Mapping[str, str]
) -> dict[str, str | None]:
    """The symlinks of an archive and where they lie; None: one that an action deletes."""
    known, file = stored[place], layout.document.packages[place[0]].files[place[1]]
    if known.inspection is None:
        return {}
    listed = {name: path for path, name in moved.items()}
    return {
        link.name: layout.links.get((*place, link.name), listed.get(link.name, join(file.dest, link.name)))
        for link in known.inspection.links
        if link.kind is LinkKind.SYMLINK
    }


def _common_shift(moved: Sequence[tuple[str, str]]) -> str | None:
    """The one folder in which everything lies as it does in the archive, if there is one."""
    shifts = set()
    for path, name in moved:
        if path != name and not path.endswith(f"/{name}"):
            return None
        shifts.add(path[: -len(name)].rstrip("/"))
    return shifts.pop() if len(shifts) == 1 else None


def _with_folders(finals: Mapping[str, str]) -> dict[str, str]:
    """The new places of files and links, and of the folders whose contents have moved along with them."""
    found = dict(finals)
    for inner, final in finals.items():
        for at, character in enumerate(inner):
            if character == "/" and final.endswith(inner[at:]) and len(final) > len(inner) - at:
                found.setdefault(inner[:at], final[: at - len(inner)])
    return found


def _new_target(name: str, target: str, path: str, finals: Mapping[str, str]) -> str:
    """The target of a symlink that now lies at ``path``, so that it stands for the same file or folder as before."""
    old = posixpath.normpath(posixpath.join(posixpath.dirname(name), target.replace("\\", "/")))
    place = finals.get(old)
    return target if place is None else posixpath.relpath(place, posixpath.dirname(path) or ".")


def _new_name(filename: str, as_tar: bool, names: set[str]) -> str:
    """A name for the new archive that no other file of the package has."""
    stem = filename
    for ending in (".tar.gz", ".tgz", ".7z", ".zip", ".rar", ".tar", ".tar.xz", ".tar.bz2"):
        if filename.lower().endswith(ending) and len(filename) > len(ending):
            stem = filename[: -len(ending)]
            break
    ending = ".tar.gz" if as_tar else ".7z"
    wanted, number = stem + ending, 1
    while wanted.casefold() in names and wanted.casefold() != filename.casefold():
        number += 1
        wanted = f"{stem}-{number}{ending}"
    names.add(wanted.casefold())
    return wanted


def with_repacked(
    document: ReleaseDocument, step: Repacking, sha256: str | None = None, size: int | None = None
) -> ReleaseDocument:
    """The release after one step of the plan.

    Args:
        sha256, size: of the new archive, where one was packed.
    """
    package = document.packages[step.package]
    old = package.files[step.file]
    if step.dest is not None:
        new = old.model_copy(update={"dest": step.dest})
    else:
        assert sha256 is not None
        changes = {"filename": step.filename, "dest": "", "checksum": ("sha256", sha256), "filesize": size}
        new = old.model_copy(update={**changes, "is_archive": True, "urls": []})
    filelist = [
        entry
        if entry.archive != old.filename or step.dest is not None
        else entry.model_copy(update={"archive": step.filename, "orig_name": entry.filename})
        for entry in package.filelist
    ]
    files = [new if index == step.file else file for index, file in enumerate(package.files)]
    changed = package.model_copy(update={"files": files, "filelist": filelist})
    packages = [changed if number == step.package else other for number, other in enumerate(document.packages)]
    return document.model_copy(update={"packages": packages})
