"""Getting one file of a request and learning what is in it, with as little reading as possible.

A link into the mirror is read from disk; a link whose file is in the mirror already is only asked whether it is still
the same; an archive whose contents are known by its SHA-256 is not read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from knossos.errors import KnossosError
from knossos.packaging.archives import (
    ArchiveError,
    EntryBudget,
    Inspection,
    Inspections,
    Limits,
    SevenZip,
    inspect_archive,
    volume_of,
)
from knossos.packaging.archives.names import Names
from knossos.packaging.conversion.board import Board
from knossos.packaging.conversion.items import Bundle, Item, volume_name
from knossos.packaging.downloads import Downloaded, Downloader, KnownFile, KnownLinks, is_hoster_page
from knossos.packaging.mirror import Mirror, MirrorLinkInvalid
from knossos.packaging.mirror_index import Record
from knossos.packaging.reporting import Reporter


@dataclass(frozen=True)
class Source:
    """A file of a request that is here now. ``downloaded`` is None for one that was in the mirror."""

    path: Path
    size: int
    md5: str
    sha256: str
    downloaded: Downloaded | None = None

    @property
    def is_fresh(self) -> bool:
        return self.downloaded is not None and not self.downloaded.not_modified


@dataclass(frozen=True)
class Acquirer:
    """What getting files takes. ``mirror`` is None where nothing is mirrored; ``workspace`` is for the files."""

    downloader: Downloader
    links: KnownLinks
    inspections: Inspections
    limits: Limits
    sevenzip: SevenZip
    mirror: Mirror | None
    workspace: Path
    board: Board
    reporter: Reporter
    check: Callable[[], None]
    budget: EntryBudget = field(default_factory=EntryBudget)

    def obtain(self, item: Item) -> Source:
        """Get one file.

        Raises:
            KnossosError: no link gave it.
        """
        own = [link for link in item.file.urls if self.mirror is not None and self.mirror.owns(link)]
        others = [link for link in item.file.urls if link not in own]
        self.board.downloading(item, 0, None)
        missing: MirrorLinkInvalid | None = None
        for link in own:
            try:
                return self._from_mirror(item, link)
            except MirrorLinkInvalid as error:
                missing = error
                self.reporter.warning(error.message)
        if not others:
            raise missing or KnossosError(f"{item.label} has no link")
        return self._download(item, others)

    def inspect(self, bundle: Bundle, sources: Sequence[Source]) -> Inspection | None:
        """What is in a file, or in a split archive; None for a file that is no archive.

        Raises:
            ArchiveError: it cannot be read, or is not what an archive may be.
        """
        item = bundle.first
        if not item.file.is_archive:
            return None
        key = sources[0].sha256 if len(sources) == 1 else _joint_sha256(sources)
        known = self.inspections.load(key, item.file.filename)
        limits = self.budget.limits_for_one(self.limits)
        if known is not None:
            names = Names(item.file.filename)
            for entry in known.entries:
                names.add_file(entry.name)
            limits.check_entries(len(names), item.file.filename, names.characters)
            return known
        self.board.inspecting(item, 0, sources[0].size)
        try:
            inspection = inspect_archive(
                self.readable(bundle, sources),
                limits=limits,
                sevenzip=self.sevenzip,
                progress=lambda done, total: self.board.inspecting(item, done, total or None),
                check=self.check,
                name=item.file.filename,
            )
        except ArchiveError as error:
            if (downloaded := sources[0].downloaded) is not None:
                error.details["url"] = downloaded.url  # of a file's links the one that gave this
            raise
        self.inspections.save(key, inspection)
        return inspection

    def readable(self, bundle: Bundle, sources: Sequence[Source]) -> Path:
        """Where 7-Zip can read it: the volumes of a split archive lie together, alone.

        They are called after their contents: an entry without a name, which 7-Zip calls after the archive, then gets
        a name that no other has, and is known by it.
        """
        if volume_of(bundle.first.file.filename) is None:
            return sources[0].path
        folder = self._folder(bundle.first) / "volumes"
        folder.mkdir(exist_ok=True)
        stem = _joint_sha256(sources)
        places = [folder / volume_name(stem, item) for item in bundle.items]
        for place, source in zip(places, sources, strict=True):
            if not place.is_symlink():
                place.symlink_to(source.path)
        return places[0]

    def _from_mirror(self, item: Item, link: str) -> Source:
        if self.mirror is None:
            raise MirrorLinkInvalid(f"{link}: nothing is mirrored here", link=link)
        path = self.mirror.locate(link)
        file = self.mirror.file(path)
        if file is None:
            raise MirrorLinkInvalid(f"{link}: there is no such file in the mirror (any more)", link=link)
        record = self.mirror.index.hashes(path, file, check=self.check)
        if difference := item.file.expected.difference(record.size, record.md5, record.sha256):
            raise MirrorLinkInvalid(f"{link}: another file than is meant: it {difference}", link=link)
        return self._of_record(self.mirror, record)

    def _download(self, item: Item, links: Sequence[str]) -> Source:
        target, accepts = self._folder(item) / item.file.filename, item.file.expected.difference
        got = self.downloader.fetch(
            links,
            target,
            self._known,
            lambda done, total: self.board.downloading(item, done, total),
            on_wait=lambda text: self.board.waiting(item, text),
            accepts=accepts,
        )
        if not got.not_modified:
            return Source(got.path, got.size, got.md5, got.sha256, got)
        record = self.mirror.index.find(got.sha256) if self.mirror is not None else None
        if self.mirror is None or record is None:  # it was removed from the mirror in this very moment
            got = self.downloader.fetch(links, target, accepts=accepts)
            return Source(got.path, got.size, got.md5, got.sha256, got)
        return self._of_record(self.mirror, record, got)

    def _of_record(self, mirror: Mirror, record: Record, got: Downloaded | None = None) -> Source:
        return Source(mirror.root / record.path, record.size, record.md5, record.sha256, got)

    def _known(self, link: str) -> KnownFile | None:
        """What is known of a link, provided that its file is still in the mirror, unchanged."""
        known = self.links.lookup(link)
        if known is None or self.mirror is None or self.mirror.index.find(known.sha256) is None:
            return None
        return known

    def _folder(self, item: Item) -> Path:
        folder = self.workspace / "-".join(str(part) for part in item.key)
        folder.mkdir(exist_ok=True)
        return folder


def public_links(item: Item, mirror: Mirror | None) -> list[str]:
    """The links of the description that belong into the result: no old links into the mirror, no hosters' pages."""
    return [link for link in item.file.urls if not (mirror and mirror.owns(link)) and not is_hoster_page(link)]


def _joint_sha256(sources: Sequence[Source]) -> str:
    """One key for the volumes of a split archive."""
    return hashlib.sha256("\n".join(source.sha256 for source in sources).encode()).hexdigest()
