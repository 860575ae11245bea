"""What a listing promises, made into a plan before anything is read, and held against what came.

Pure decisions: which entries there will be, which bytes of 7-Zip's stream belong to which, what must be kept (the
targets of links, the files that were asked for), and whether the contents are what was promised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from knossos.packaging.archives.errors import (
    ArchiveDamaged,
    ArchiveEncrypted,
    ArchiveError,
    ArchiveLinkRefused,
    ArchiveNameRefused,
    ArchiveSpecialFile,
    ArchiveUnsupported,
    printable,
)
from knossos.packaging.archives.formats import Kind, name_for_nameless
from knossos.packaging.archives.hashing import EMPTY, Cut, Digest
from knossos.packaging.archives.limits import Limits
from knossos.packaging.archives.links import check_symlinks, refused
from knossos.packaging.archives.listing import Listed
from knossos.packaging.archives.model import Entry, Inspection, Link, LinkKind
from knossos.packaging.archives.names import Names, safe_name

#: Longest target of a symlink in bytes.
LONGEST_TARGET = 4096

#: The warning about an archive without a single file.
NO_FILES = "there are no files in it"

FILE, SYMLINK, HARD_LINK, FORK = "file", "symlink", "hard link", "fork"


@dataclass(slots=True)
class Planned:
    """One entry of the listing, folders left out."""

    name: str
    #: Bytes of it in 7-Zip's stream.
    emits: int
    role: str
    crc: int | None = None
    target: str = ""
    keep: bool = False


@dataclass
class Plan:
    """All that a listing promises."""

    archive: str
    entries: list[Planned] = field(default_factory=list)
    stream_bytes: int = 0
    #: Names of hard links as 7-Zip prints them.
    hard_links: set[str] = field(default_factory=set)
    #: A name may have held a line break.
    has_underscores: bool = False
    #: The entry without a name, which is called after the archive.
    nameless: str = ""
    #: A name is written with a backslash.
    has_backslashes: bool = False

    def line_break(self, shown: str) -> ArchiveNameRefused:
        return ArchiveNameRefused(
            f"{self.archive}: a name that is shown as '{printable(shown)}' holds a line break; rename it and pack "
            "the archive again",
            archive=self.archive,
            entry=printable(shown),
        )


def plan_of(
    listing: Iterable[Listed],
    archive: str,
    kind: Kind,
    packed_bytes: int,
    limits: Limits,
    keep: Callable[[str, int], bool],
    is_nameless: Callable[[str], bool] = lambda shown: False,
) -> Plan:
    """Read a listing and refuse it at the first entry that cannot be.

    Args:
        is_nameless: whether an entry that is listed by this name has none in truth.

    Raises:
        ArchiveError
    """
    plan = Plan(archive)
    names = Names(archive)
    unpacked = 0
    for count, listed in enumerate(listing, 1):
        limits.check_entries(max(count, len(names)), archive, names.characters)
        if listed.encrypted and not listed.is_folder:
            raise encrypted(archive, listed.path)
        link = _rar5_link(listed)
        if listed.is_folder and not link:
            names.add_folder(listed.path)
            continue
        if listed.is_stream:
            plan.entries.append(Planned(printable(listed.path), listed.size or 0, FORK))
            plan.stream_bytes += listed.size or 0
            continue
        nameless = is_nameless(listed.path)
        name = names.add_file(name_for_nameless(archive) if nameless else listed.path)
        planned = _planned(listed, link, name, archive, may_be_piped=nameless)
        if nameless:
            plan.nameless = name
        if planned.role == FILE:
            unpacked += planned.emits
            limits.check_bytes(unpacked, packed_bytes, archive)
            planned.keep = keep(planned.name, planned.emits)
        elif planned.role == HARD_LINK:
            plan.hard_links.add(listed.path)
        plan.stream_bytes += planned.emits
        plan.has_underscores = plan.has_underscores or "_" in listed.path
        plan.entries.append(planned)
    plan.has_backslashes = names.has_backslashes
    limits.check_entries(len(names), archive, names.characters)
    limits.check_bytes(plan.stream_bytes, packed_bytes, archive)
    return plan


def _rar5_link(listed: Listed) -> str:
    """Of ``Characteristics = ... Link:UnixSymLink``: the kind of link."""
    _, found, rest = listed.characteristics.partition("Link:")
    return rest.split(" ", 1)[0] if found else ""


def _planned(listed: Listed, rar5_link: str, name: str, archive: str, *, may_be_piped: bool) -> Planned:
    shown = printable(name)
    if rar5_link == "HardLink":
        return Planned(name, 0, HARD_LINK, target=listed.hard_link)
    if rar5_link == "FileCopy":
        return Planned(name, _size(listed, archive), FILE)
    if rar5_link:
        return Planned(name, 0, SYMLINK, target=listed.symlink)
    if listed.unix_type == "l":
        size = _size(listed, archive)
        if size > LONGEST_TARGET:
            raise refused(name, f"({size} bytes)", archive, "is too long")
        return Planned(name, size, SYMLINK, listed.crc, listed.symlink, keep=True)
    # A file that was packed from standard input has the mode of that, but a content, which no FIFO or device has.
    if listed.unix_type in tuple("pcbs") and not (may_be_piped or listed.size):
        raise ArchiveSpecialFile(
            f"{archive}: '{shown}' is a FIFO, a device or a socket; mods hold only files and folders: remove it",
            archive=archive,
            entry=shown,
        )
    if listed.is_reparse_point:
        raise refused(name, "?", archive, "is written in Windows' own way, which is not followed")
    return Planned(name, _size(listed, archive), FILE, listed.crc)


def _size(listed: Listed, archive: str) -> int:
    if listed.size is None:
        raise ArchiveUnsupported(
            f"{archive}: the size of '{printable(listed.path)}' is not known before it is unpacked; pack it as a 7z",
            archive=archive,
            entry=printable(listed.path),
        )
    return listed.size


def encrypted(archive: str, entry: str | None = None) -> ArchiveEncrypted:
    """The error for an archive that needs a password."""
    details = {} if entry is None else {"entry": printable(entry)}
    which = archive if entry is None else f"{archive}: '{details['entry']}'"
    return ArchiveEncrypted(f"{which} is encrypted; pack it without a password", archive=archive, **details)


class Contents:
    """Cuts 7-Zip's stream by a plan and makes the result out of the digests."""

    def __init__(self, archive: str, plan: Plan) -> None:
        self._archive = archive
        self._plan = plan
        #: Those of the plan that have bytes in the stream, and how far into them it is.
        self._emitting = [planned for planned in plan.entries if planned.emits]
        self._index = 0
        self._left = self._emitting[0].emits if self._emitting else 0
        self._kept: dict[str, bytearray] = {planned.name: bytearray() for planned in plan.entries if planned.keep}
        self._surplus = False

    def cut(self, view: memoryview) -> list[Cut]:
        cuts: list[Cut] = []
        place, length = 0, len(view)
        while place < length:
            if self._index == len(self._emitting):
                self._surplus = True
                raise self._misfit()
            planned = self._emitting[self._index]
            end = min(place + self._left, length)
            self._left -= end - place
            last = self._left == 0
            cuts.append(Cut(place, end, last))
            if planned.keep:
                self._kept[planned.name] += view[place:end]
            place = end
            if last:
                self._index += 1
                if self._index < len(self._emitting):
                    self._left = self._emitting[self._index].emits
        return cuts

    def end(self) -> list[Cut]:
        """Files that were cut short get no digest: verify() names the first."""
        return []

    def verify(
        self, digests: Sequence[Digest], broken: Sequence[str] | None, explain: Callable[[], ArchiveError]
    ) -> None:
        """Hold what came against what was promised.

        Args:
            broken: None: 7-Zip found no fault. Otherwise the names of the entries that it calls broken; empty where it
                did not say, or said too much.
            explain: makes the error out of 7-Zip's own words.

        Raises:
            ArchiveError
        """
        for planned, digest in zip(self._emitting, digests, strict=False):
            if planned.crc is not None and planned.crc != digest.crc32:
                raise ArchiveDamaged(
                    f"{self._archive}: the content of '{printable(planned.name)}' does not fit its checksum: "
                    "the archive is broken; pack it again",
                    archive=self._archive,
                    entry=printable(planned.name),
                )
        # It cannot write the hard links of a RAR into a stream, and counts each as broken.
        if broken is not None and not (broken and self._plan.hard_links.issuperset(broken)):
            raise explain()
        if len(digests) != len(self._emitting):
            raise self._misfit()

    def inspection(self, kind: Kind, digests: Sequence[Digest]) -> Inspection:
        """The result, once verified.

        Raises:
            ArchiveLinkRefused
        """
        found = iter(digests)
        entries: dict[str, Entry] = {}
        links: list[Link] = []
        warnings: list[str] = []
        for planned in self._plan.entries:
            digest = next(found) if planned.emits else EMPTY
            if planned.role == FILE:
                entries[planned.name] = Entry(planned.name, planned.emits, digest.md5, digest.sha256, planned.crc)
            elif planned.role == SYMLINK:
                links.append(Link(planned.name, planned.target or self._target(planned)))
            elif planned.role == HARD_LINK:
                links.append(Link(planned.name, planned.target, LinkKind.HARD))
            else:
                warnings.append(f"{self._archive}: '{planned.name}' is a fork of a file and is left out")
        names = [planned.name for planned in self._plan.entries if planned.role in (FILE, HARD_LINK)]
        links = settle_links(links, entries, self._archive)
        if not entries and not links:
            warnings.append(NO_FILES)
        label = "rar" if kind in (Kind.RAR4, Kind.RAR5) else str(kind)
        ordered = [entries[name] for name in names if name in entries]
        captured = {name: bytes(data) for name, data in self._kept.items() if name in entries}
        return Inspection(
            format=label,
            entries=ordered,
            total_bytes=sum(entry.size for entry in ordered),
            links=links,
            warnings=warnings,
            captured=captured,
            named_after_archive=self._plan.nameless if self._plan.nameless in entries else "",
            has_backslashes=self._plan.has_backslashes,
        )

    def _target(self, planned: Planned) -> str:
        return self._kept[planned.name].decode("utf-8", "surrogateescape")

    def _misfit(self) -> ArchiveDamaged:
        at = self._emitting[min(self._index, len(self._emitting) - 1)].name if self._emitting else ""
        what = "more bytes than it states" if self._surplus else "fewer bytes than it states"
        return ArchiveDamaged(
            f"{self._archive} holds {what} (at '{printable(at)}'): it is broken, or made to deceive; pack it again",
            archive=self._archive,
            entry=printable(at),
        )


def settle_links(links: Sequence[Link], entries: dict[str, Entry], archive: str) -> list[Link]:
    """Check all links of an archive and add what hard links stand for to ``entries``, in the links' order.

    Returns:
        the links; a hard link to a symlink is a symlink.

    Raises:
        ArchiveLinkRefused: one leaves the archive, or a hard link leads nowhere.
    """
    symlinks = {link.name: link for link in links if link.kind is LinkKind.SYMLINK}
    settled: list[Link] = []
    for link in links:
        if link.kind is LinkKind.HARD:
            target = _hard_target(link, archive)
            if target in symlinks:
                link = symlinks[link.name] = Link(link.name, symlinks[target].target)
            elif target in entries:
                same = entries[target]
                entries[link.name] = Entry(link.name, same.size, same.md5, same.sha256, same.crc32)
                link = Link(link.name, target, LinkKind.HARD)
            else:
                raise refused(link.name, link.target, archive, "is no file of this archive")
        settled.append(link)
    check_symlinks(symlinks.values(), archive)
    return settled


def _hard_target(link: Link, archive: str) -> str:
    try:
        return safe_name(link.target, archive)
    except ArchiveNameRefused as error:
        refusal: ArchiveLinkRefused = refused(link.name, link.target, archive, "leads out of the archive")
        raise refusal from error
