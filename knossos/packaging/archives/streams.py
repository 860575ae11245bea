"""What comes out of a compressor, or lies there as a bare tar: a tar's files, or one file.

Decides by the first bytes, and holds names, links and limits of a tar's entries as they come by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from knossos.packaging.archives.contents import LONGEST_TARGET, NO_FILES, settle_links
from knossos.packaging.archives.formats import (
    Archive,
    Kind,
    gzip_name,
    looks_like_tar,
    name_without_suffix,
    says_tar,
)
from knossos.packaging.archives.hashing import Cut, Digest
from knossos.packaging.archives.limits import Limits
from knossos.packaging.archives.links import refused
from knossos.packaging.archives.model import Entry, Inspection, Link, LinkKind
from knossos.packaging.archives.names import Names, safe_name
from knossos.packaging.archives.tarstream import BLOCK, TarCutter, TarMember


class StreamCutter:
    """Cuts a stream of which only the first bytes tell what it is."""

    def __init__(self, archive: Archive, limits: Limits, keep: Callable[[str, int], bool]) -> None:
        self._archive = archive
        self._keep = keep
        self._limits = limits
        self._contents: _Tar | _Single | None = None

    def cut(self, view: memoryview) -> list[Cut]:
        if self._contents is None:
            is_tar = self._archive.kind is Kind.TAR or looks_like_tar(view[:512]) or self._is_empty_tar(view[:512])
            make = _Tar if is_tar else _Single
            self._contents = make(self._archive, self._limits, self._keep)
        return self._contents.cut(view)

    def _is_empty_tar(self, start: memoryview) -> bool:
        name = _own_name(self._archive) or self._archive.name
        return len(start) == BLOCK and not any(start) and says_tar(name)

    def end(self) -> list[Cut]:
        if self._contents is None:
            self._contents = _Single(self._archive, self._limits, self._keep)
        return self._contents.end()

    def inspection(self, digests: Sequence[Digest]) -> Inspection:
        """The result, once the stream was read to its end.

        Raises:
            ArchiveError
        """
        assert self._contents is not None
        return self._contents.inspection(digests)


def _own_name(archive: Archive) -> str:
    """What a gzip says that its file is called; "" where nothing is said."""
    own = gzip_name(archive.descriptor) if archive.kind is Kind.GZIP else None
    # Only the last part counts, as gzip itself has it.
    return (own or "").replace("\\", "/").rpartition("/")[2]


class _Single:
    """One file, whose size nobody knows before its end."""

    def __init__(self, archive: Archive, limits: Limits, keep: Callable[[str, int], bool]) -> None:
        self._archive = archive
        own = _own_name(archive)
        self._named_after_archive = not own
        self._name = safe_name(own or name_without_suffix(archive.name), archive.name)
        self._keep = keep
        self._size = 0
        # Kept until it is known to be too much.
        self._kept: bytearray | None = bytearray()

    def cut(self, view: memoryview) -> list[Cut]:
        self._size += len(view)
        if self._kept is not None:
            if self._keep(self._name, self._size):
                self._kept += view
            else:
                self._kept = None
        return [Cut(0, len(view), False)]

    def end(self) -> list[Cut]:
        return [Cut(0, 0, True)]

    def inspection(self, digests: Sequence[Digest]) -> Inspection:
        [digest] = digests
        return Inspection(
            format=str(self._archive.kind),
            entries=[Entry(self._name, self._size, digest.md5, digest.sha256)],
            total_bytes=self._size,
            captured={} if self._kept is None else {self._name: bytes(self._kept)},
            named_after_archive=self._name if self._named_after_archive else "",
        )


class _Tar:
    """A tar's files."""

    def __init__(self, archive: Archive, limits: Limits, keep: Callable[[str, int], bool]) -> None:
        self._archive = archive
        self._limits = limits
        self._keep = keep
        self._names = Names(archive.name)
        self._files: list[tuple[str, str, int]] = []
        self._order: list[str] = []
        self._links: list[Link] = []
        self._count = self._total = 0
        self._cutter = TarCutter(archive.name, self._member)
        self.cut, self.end = self._cutter.cut, self._cutter.end

    def _member(self, member: TarMember) -> bool:
        """Judge an entry before its data come; whether to keep them."""
        archive = self._archive.name
        self._count += 1
        self._limits.check_entries(max(self._count, len(self._names)), archive, self._names.characters)
        if member.kind == "folder":
            self._names.add_folder(member.name)
            return False
        name = self._names.add_file(member.name)
        if member.kind in ("symlink", "hard link"):
            if len(member.target) > LONGEST_TARGET:
                raise refused(name, member.target, archive, "is too long")
            kind = LinkKind.SYMLINK if member.kind == "symlink" else LinkKind.HARD
            self._links.append(Link(name, member.target, kind))
            if kind is LinkKind.HARD:
                self._order.append(name)
            return False
        self._total += member.size
        self._limits.check_bytes(self._total, self._archive.packed_bytes, archive)
        self._files.append((name, member.name, member.size))
        self._order.append(name)
        return self._keep(name, member.size)

    def inspection(self, digests: Sequence[Digest]) -> Inspection:
        entries = {
            name: Entry(name, size, digest.md5, digest.sha256)
            for (name, _, size), digest in zip(self._files, digests, strict=True)
        }
        self._limits.check_entries(len(self._names), self._archive.name, self._names.characters)
        links = settle_links(self._links, entries, self._archive.name)
        kept = self._cutter.kept
        ordered = [entries[name] for name in self._order if name in entries]
        kind = self._archive.kind
        return Inspection(
            format="tar" if kind is Kind.TAR else f"tar.{kind}",
            entries=ordered,
            total_bytes=sum(entry.size for entry in ordered),
            links=links,
            warnings=[] if ordered or links else [NO_FILES],
            captured={name: bytes(kept[raw]) for name, raw, _ in self._files if raw in kept},
            has_backslashes=self._names.has_backslashes,
        )
