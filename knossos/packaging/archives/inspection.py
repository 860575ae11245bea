"""Reading an archive: every file in it hashed from the stream that 7-Zip decodes, nothing on disk, memory flat.

A 7z, zip, rar or dmg is listed and decoded at the same time: the stream waits in its pipe until the listing was found
good, and is then cut at the listed sizes. A tar is cut by its own headers, whether it lies there bare or comes out
of a compressor. Whatever an archive holds, the caller gets an Inspection or an ArchiveError.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from knossos.packaging.archives.contents import Contents, Plan, plan_of
from knossos.packaging.archives.errors import ArchiveError, EntryNotFound, EntryTooBig, printable
from knossos.packaging.archives.formats import COMPRESSORS, Archive, Kind, of_descriptor, opened
from knossos.packaging.archives.hashing import hash_stream
from knossos.packaging.archives.limits import Clock, Limits
from knossos.packaging.archives.listing import parse_listing
from knossos.packaging.archives.lzma2blocks import has_single_blocks
from knossos.packaging.archives.model import Inspection, LinkKind
from knossos.packaging.archives.sevenzip import EXIT_FATAL, Run, SevenZip
from knossos.packaging.archives.streams import StreamCutter
from knossos.packaging.archives.verdict import explain
from knossos.packaging.archives.zipdirectory import ZipDirectory, look_at_zip
from knossos.setting_kinds import MIB

Progress = Callable[[int, int], None]
#: Whether to keep the bytes of a file, by its name and size.
Capture = Callable[[str, int], bool]

#: Most bytes of one file, and of all files together, that are kept by default.
CAPTURED_FILE_BYTES, CAPTURED_BYTES = MIB, 4 * MIB

#: Seconds between two reports of progress.
PROGRESS_SECONDS = 0.1


def describes_a_mod(name: str, size: int) -> bool:
    """The default of ``capture``: the small files that packaging looks into."""
    return size <= CAPTURED_FILE_BYTES and name.rpartition("/")[2].lower() in ("mod.ini", "logo.jpg")


def inspect_archive(
    path: Path,
    *,
    limits: Limits,
    sevenzip: SevenZip,
    progress: Progress | None = None,
    check: Callable[[], None] | None = None,
    capture: Capture = describes_a_mod,
    name: str | None = None,
) -> Inspection:
    """Read an archive once, from its first byte to its last.

    Args:
        path: the file; of a split archive the first volume, with the others beside it.
        progress: called now and then with the bytes done and all bytes; these are 0 where nobody knows.
        check: called now and then; raises where the work was cancelled.
        capture: which files' bytes to keep in ``captured``; past CAPTURED_BYTES together none is kept any more,
            except the first.
        name: what the archive is called, where ``path`` is called otherwise.

    Raises:
        ArchiveError: it cannot be used; the subclass says why.
        MissingDependency: 7-Zip cannot be started.
    """
    with opened(path, name) as archive:
        clock = Clock(limits, archive.name, check)
        keep = _Budget(capture)
        if archive.kind in COMPRESSORS or archive.kind is Kind.TAR:
            return _inspect_stream(archive, clock, sevenzip, keep, progress)
        return _inspect_listed(archive, clock, sevenzip, keep, progress)


def read_entry(
    path: Path,
    name: str,
    max_bytes: int,
    *,
    limits: Limits,
    sevenzip: SevenZip,
    check: Callable[[], None] | None = None,
) -> bytes:
    """The bytes of one file in an archive. To learn all of an archive, give inspect_archive a ``capture`` instead.

    Raises:
        EntryNotFound, EntryTooBig, ArchiveError
    """
    found = inspect_archive(
        path,
        limits=limits,
        sevenzip=sevenzip,
        check=check,
        capture=lambda entry, size: entry == name and size <= max_bytes,
    )
    if name in found.captured:
        return found.captured[name]
    sizes = [entry.size for entry in found.entries if entry.name == name]
    for link in found.links:
        if link.name == name and link.kind is LinkKind.HARD and sizes and sizes[0] <= max_bytes:
            return read_entry(path, link.target, max_bytes, limits=limits, sevenzip=sevenzip, check=check)
    shown = printable(name)
    if not sizes:
        raise EntryNotFound(f"{path.name} holds no file '{shown}'", archive=path.name, entry=shown)
    raise EntryTooBig(
        f"'{shown}' in {path.name} has {sizes[0]:,} bytes; at most {max_bytes:,} can be used",
        archive=path.name,
        entry=shown,
    )


class _Teller:
    """Passes progress on, but no more often than somebody could see."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total = progress, total
        self._told = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self._progress is not None and now - self._told >= PROGRESS_SECONDS:
            self._told = now
            self._progress(done, self._total)


class _Budget:
    """Keeps what is captured within CAPTURED_BYTES."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._taken: dict[str, int] = {}

    def __call__(self, name: str, size: int) -> bool:
        """Whether to keep a file, or what has come of it so far."""
        if not self._capture(name, size):
            return False
        others = sum(self._taken.values()) - self._taken.get(name, 0)
        if others and others + size > CAPTURED_BYTES:
            return False
        self._taken[name] = size
        return True


def _inspect_listed(
    archive: Archive, clock: Clock, sevenzip: SevenZip, keep: Capture, progress: Progress | None
) -> Inspection:
    directory = ZipDirectory()
    if archive.kind is Kind.ZIP and archive.volumes == 1:
        directory = look_at_zip(archive.descriptor, archive.packed_bytes)
        clock.limits.check_entries(directory.entries or 0, archive.name)
    # What one thread decodes comes as it is decoded, and is hashed meanwhile.
    single = archive.kind is Kind.SEVEN and archive.volumes == 1 and has_single_blocks(archive.descriptor)
    with ExitStack() as at_once:
        listing = at_once.enter_context(sevenzip.listing(archive.source, clock))
        stream = at_once.enter_context(sevenzip.contents(archive.source, clock, threads=1 if single else None))
        plan = _list(archive, clock, sevenzip, listing, keep)
        odd = None
        if plan.has_underscores and directory.has_line_breaks is not False:
            # 7-Zip prints a line break in a name as "_": ask it, meanwhile, for the names that have one.
            odd = at_once.enter_context(sevenzip.listing(archive.source, clock, "-ir!*\n*"))
        contents = Contents(archive.name, plan)
        total = plan.stream_bytes
        digests = hash_stream(stream.readinto, contents, _Teller(progress, total))
        for listed in parse_listing(odd.chunks(), archive.name) if odd else ():
            raise plan.line_break(listed.path)
        status = stream.finish()
        broken = stream.failed_entries() if status == EXIT_FATAL else None
        contents.verify(digests, broken, lambda: explain(stream, archive))
        if progress is not None:
            progress(total, total)
        return contents.inspection(archive.kind, digests)


def _list(archive: Archive, clock: Clock, sevenzip: SevenZip, listing: Run, keep: Capture) -> Plan:
    def is_nameless(shown: str) -> bool:
        return shown == archive.placeholder and _has_nameless(archive, clock, sevenzip)

    listed = parse_listing(listing.chunks(), archive.name)
    plan = plan_of(listed, archive.name, archive.kind, archive.packed_bytes, clock.limits, keep, is_nameless)
    if listing.finish() == EXIT_FATAL:
        raise explain(listing, archive)
    return plan


def _has_nameless(archive: Archive, clock: Clock, sevenzip: SevenZip) -> bool:
    """Whether the entry that is listed by the archive's placeholder has no name in truth.

    7-Zip makes the name up from the one by which it gets the archive: by another descriptor, it is another.
    """
    if archive.volumes > 1:
        return True
    other = os.dup(archive.descriptor)
    try:
        source = of_descriptor(archive.name, other, archive.kind)
        with sevenzip.listing(source, clock) as listing:
            return all(listed.path != archive.placeholder for listed in parse_listing(listing.chunks(), archive.name))
    finally:
        os.close(other)


def _inspect_stream(
    archive: Archive, clock: Clock, sevenzip: SevenZip, keep: Capture, progress: Progress | None
) -> Inspection:
    cutter = StreamCutter(archive, clock.limits, keep)
    bare = archive.kind is Kind.TAR

    teller = _Teller(progress, archive.packed_bytes if bare else 0)

    def tell(done: int) -> None:
        clock.tick()
        clock.limits.check_bytes(done, archive.packed_bytes, archive.name)
        teller(done)

    if bare:
        os.lseek(archive.descriptor, 0, os.SEEK_SET)
        digests = hash_stream(lambda view: os.readv(archive.descriptor, [view]), cutter, tell)
        return cutter.inspection(digests)
    with sevenzip.contents(archive.source, clock) as stream:
        try:
            digests = hash_stream(stream.readinto, cutter, tell)
        except ArchiveError as error:
            if error.code == "archive_damaged" and stream.finish() == EXIT_FATAL:
                raise explain(stream, archive) from error
            raise
        if stream.finish() == EXIT_FATAL:
            raise explain(stream, archive)
        return cutter.inspection(digests)
