"""Unpacking chosen files of an archive to chosen places, and packing a folder so that the same gives the same bytes.

Only for archives that were inspected, whose names and links are known. A path on disk is never made of an entry's name,
but for 7-Zip's own unpacking, which goes into an empty folder and is then picked from: plain files only, and none by
way of a link. That what arrived is what was inspected is not held here: whoever packs it again inspects the result.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from knossos.packaging.archives.errors import ArchiveDamaged, ArchiveError, ArchiveNameRefused, printable
from knossos.packaging.archives.formats import COMPRESSORS, Archive, Kind, looks_like_tar, opened
from knossos.packaging.archives.limits import Clock, Limits
from knossos.packaging.archives.model import Inspection, LinkKind
from knossos.packaging.archives.names import safe_name
from knossos.packaging.archives.sevenzip import EXIT_OK, EXIT_WARNING, Run, SevenZip
from knossos.packaging.archives.verdict import explain

#: The time of everything that is packed: 2000-01-01, so that it depends on nothing.
PACKED_TIME = 946_684_800

_PIECE_BYTES = 1024 * 1024

#: Places for a file of an archive, by its name there.
Wanted = Mapping[str, Sequence[Path]]


def unpack(
    path: Path,
    wanted: Wanted,
    inspection: Inspection,
    scratch: Path,
    *,
    limits: Limits,
    sevenzip: SevenZip,
    name: str | None = None,
    check: Callable[[], None] | None = None,
) -> None:
    """Put files of an archive where they are wanted; the folders are made.

    Args:
        inspection: of this archive.
        scratch: an empty folder on the same file system as the places.
        name: what the archive is called, where ``path`` is called otherwise.

    Raises:
        ArchiveError: it cannot be read, or a file is not there.
    """
    hard = {link.name: link.target for link in inspection.links if link.kind is LinkKind.HARD}
    places: dict[str, list[Path]] = {}
    for entry, targets in wanted.items():
        places.setdefault(hard.get(entry, entry), []).extend(targets)
    for target in (target for targets in places.values() for target in targets):
        target.parent.mkdir(parents=True, exist_ok=True)
    with opened(path, name) as archive:
        clock = Clock(limits, archive.name, check)
        if archive.kind in COMPRESSORS or archive.kind is Kind.TAR:
            left = _unpack_stream(archive, places, inspection, clock, sevenzip)
        else:
            left = _unpack_listed(archive, places, inspection, scratch, clock, sevenzip)
    for entry in left:
        shown = printable(entry)
        raise ArchiveDamaged(f"{archive.name}: '{shown}' could not be unpacked", archive=archive.name, entry=shown)


def pack_7z(
    folder: Path, target: Path, *, limits: Limits, sevenzip: SevenZip, check: Callable[[], None] | None = None
) -> None:
    """Pack all that is in a folder. Raises ArchiveError."""
    _settle(folder)
    with sevenzip.creation(target, folder, Clock(limits, target.name, check)) as run:
        _drain(run)
        if run.finish() != EXIT_OK:
            raise ArchiveError(f"{target.name} could not be packed: {run.messages.strip()[-300:]}", archive=target.name)


def pack_tar_gz(folder: Path, target: Path, *, check: Callable[[], None] | None = None) -> None:
    """Pack all that is in a folder, symlinks as such."""
    _settle(folder)
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(folder.rglob("*")):
            info = tar.gettarinfo(path, str(path.relative_to(folder)))
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            info.mtime = PACKED_TIME
            # Two names of one file would become a hard link, which not every client makes.
            if path.is_file() and not path.is_symlink():
                info.type, info.size = tarfile.REGTYPE, path.stat().st_size
                with path.open("rb") as file:
                    tar.addfile(info, _Checked(file, check))
            else:
                tar.addfile(info)


class _Checked:
    """A file whose reading ends where the work is no longer wanted."""

    def __init__(self, file: IO[bytes], check: Callable[[], None] | None) -> None:
        self._file, self._check = file, check

    def read(self, size: int = -1) -> bytes:
        if self._check is not None:
            self._check()
        return self._file.read(size)


def _settle(folder: Path) -> None:
    """Give everything the same time, and one of two modes."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink():
            os.utime(path, (PACKED_TIME, PACKED_TIME), follow_symlinks=False)
            continue
        runs = path.is_dir() or bool(path.stat().st_mode & stat.S_IXUSR)
        path.chmod(0o755 if runs else 0o644)
        os.utime(path, (PACKED_TIME, PACKED_TIME))


def _drain(run: Run) -> None:
    for _ in run.chunks():
        pass


def _unpack_listed(
    archive: Archive,
    places: Mapping[str, Sequence[Path]],
    inspection: Inspection,
    scratch: Path,
    clock: Clock,
    sevenzip: SevenZip,
) -> list[str]:
    with sevenzip.extraction(archive.source, scratch, clock) as run:
        _drain(run)
        if run.finish() not in (EXIT_OK, EXIT_WARNING):
            raise explain(run, archive)
    left = []
    written = _written_names(scratch, archive.name) if inspection.has_backslashes else {}
    for entry, targets in places.items():
        name = written.get(entry, entry)
        source = scratch / name
        if not source.is_file() or source.is_symlink() or source.resolve() != scratch.resolve() / name:
            left.append(entry)
            continue
        for target in targets[1:]:
            shutil.copy(source, target)
        source.rename(targets[0])
    return left


def _written_names(scratch: Path, archive: str) -> dict[str, str]:
    """The names as 7-Zip has written them, by those that they stand for: here a backslash is a letter."""
    found: dict[str, str] = {}
    for path in scratch.rglob("*"):
        name = str(path.relative_to(scratch))
        if "\\" in name and path.is_file():
            found[safe_name(name, archive)] = name
    return found


def _unpack_stream(
    archive: Archive, places: Mapping[str, Sequence[Path]], inspection: Inspection, clock: Clock, sevenzip: SevenZip
) -> list[str]:
    left = dict(places)
    if archive.kind is Kind.TAR:
        with open(archive.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            _unpack_tar(file, left, archive.name, clock)
        return list(left)
    with sevenzip.contents(archive.source, clock) as run:
        stream = io.BufferedReader(_Stream(run), _PIECE_BYTES)
        if inspection.format.startswith("tar.") or looks_like_tar(stream.peek(512)[:512]):
            _unpack_tar(stream, left, archive.name, clock)
        else:
            for entry in list(left):
                _write(stream, left.pop(entry), clock, 0o644)
        while stream.read(_PIECE_BYTES):
            pass
        if run.finish() not in (EXIT_OK, EXIT_WARNING):
            raise explain(run, archive)
    return list(left)


def _unpack_tar(stream: IO[bytes], left: dict[str, Sequence[Path]], archive: str, clock: Clock) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                try:
                    targets = left.pop(safe_name(member.name, archive), None) if member.isreg() else None
                except ArchiveNameRefused:
                    continue
                content = tar.extractfile(member) if targets else None
                if targets and content is not None:
                    _write(content, targets, clock, member.mode)
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveDamaged(f"{archive} cannot be unpacked: {error}", archive=archive) from error


def _write(source: IO[bytes], targets: Sequence[Path], clock: Clock, mode: int) -> None:
    with targets[0].open("xb") as out:
        while piece := source.read(_PIECE_BYTES):
            clock.tick()
            out.write(piece)
    targets[0].chmod(0o755 if mode & stat.S_IXUSR else 0o644)
    for target in targets[1:]:
        shutil.copy(targets[0], target)


class _Stream(io.RawIOBase):
    """What a running 7-Zip writes, as a file."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        count = 0 if self._ended else self._run.readinto(memoryview(buffer))
        self._ended = count == 0
        return count
