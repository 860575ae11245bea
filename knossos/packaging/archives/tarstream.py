"""A tar as it streams by: which bytes belong to which file.

Reads ustar, GNU and pax (POSIX.1-2001) tars, with long names and sparse files, from any source and only forwards.
Header fields are bounded before they are kept. Nothing is ever opened or created: devices and FIFOs are
refused, links are only noted. Names are reported raw; judging them is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from knossos.packaging.archives.errors import (
    ArchiveDamaged,
    ArchiveNameRefused,
    ArchiveSpecialFile,
    ArchiveUnsupported,
    printable,
)
from knossos.packaging.archives.formats import looks_like_tar
from knossos.packaging.archives.hashing import ZEROS, Cut

BLOCK = 512
#: Longest pax header or GNU long name in bytes.
_LONGEST_EXTRA = 1024 * 1024
#: Most pieces of a sparse file.
_MOST_PIECES = 100_000

#: The pax keys that matter here; no other is kept.
_KEYS = frozenset(
    {
        *(b"path", b"linkpath", b"size", b"GNU.sparse.name", b"GNU.sparse.map"),
        *(b"GNU.sparse.size", b"GNU.sparse.realsize", b"GNU.sparse.major"),
    }
)
_RECORD = re.compile(rb"(\d{1,20}) ")


@dataclass(slots=True)
class TarMember:
    """An entry as its headers describe it."""

    name: str
    #: Bytes of the file, with the holes of a sparse one.
    size: int
    #: "file", "folder", "symlink" or "hard link".
    kind: str
    target: str = ""


@dataclass
class _Sparse:
    """Where the data of a sparse file go: (offset, length) of each piece, and its size."""

    pieces: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0
    # The last piece comes first once they are checked, so that each can be popped.
    #: GNU 1.0: the map comes before the data.
    map_in_data: bool = False


class TarCutter:
    """Cuts a tar's stream.

    Args:
        on_member: called with each entry before its data come; returns whether to keep the data's bytes, which
            are then in ``kept`` under the entry's raw name. May raise to end the reading.
    """

    def __init__(self, archive: str, on_member: Callable[[TarMember], bool]) -> None:
        self._archive = archive
        self._on_member = on_member
        self.kept: dict[str, bytearray] = {}
        self._keeping: bytearray | None = None
        self._global: dict[str, bytes] = {}
        self._local: dict[str, bytes] = {}
        self._long_name = self._long_target = b""
        #: What the next bytes are for, and how many of them are still to come.
        self._state: Callable[[list[Cut]], None] = self._header
        self._wanted = BLOCK
        self._collected = bytearray()
        self._padding = 0
        self._at_end = False
        # The file whose data are coming.
        self._member: TarMember | None = None
        self._sparse: _Sparse | None = None
        self._extra_kind = b""
        self._position = 0

    # --- driving ---------------------------------------------------------------------------------------

    def cut(self, view: memoryview) -> list[Cut]:
        cuts: list[Cut] = []
        place = 0
        while place < len(view) and not self._at_end:
            taken = min(self._wanted, len(view) - place)
            piece = (place, place + taken)
            place += taken
            self._wanted -= taken
            if self._member is not None and self._state == self._data_end:
                if taken:
                    self._data(view, *piece, cuts)
            elif self._state != self._skipped:
                self._collected += view[piece[0] : piece[1]]
            while self._wanted == 0 and not self._at_end:
                self._state(cuts)
        return cuts

    def end(self) -> list[Cut]:
        if not self._at_end:
            what = f", inside of '{printable(self._member.name)}'" if self._member else ""
            raise ArchiveDamaged(
                f"{self._archive} ends too early{what}: it is truncated, or broken; upload it again",
                archive=self._archive,
            )
        return []

    def _expect(self, count: int, then: Callable[[list[Cut]], None]) -> None:
        self._wanted, self._state = count, then
        self._collected = bytearray()

    def _skip(self, count: int) -> None:
        self._expect(count, self._skipped)

    def _skipped(self, cuts: list[Cut]) -> None:
        self._expect(BLOCK, self._header)

    # --- headers ---------------------------------------------------------------------------------------

    def _header(self, cuts: list[Cut]) -> None:
        block = bytes(self._collected)
        if not any(block):
            self._at_end = True
            return
        if not looks_like_tar(block):
            raise self._broken("a header's checksum is wrong")
        kind = block[156:157]
        size = self._number(block[124:136])
        if kind in b"xgXLK":
            if size > _LONGEST_EXTRA:
                raise self._broken("a name or header is longer than a megabyte")
            self._extra_kind = kind
            self._padding = -size % BLOCK
            self._expect(size, self._extra)
            return
        self._entry(block, kind, size)

    def _extra(self, cuts: list[Cut]) -> None:
        content = bytes(self._collected)
        if self._extra_kind == b"L":
            self._long_name = content.partition(b"\x00")[0]
        elif self._extra_kind == b"K":
            self._long_target = content.partition(b"\x00")[0]
        elif self._extra_kind == b"g":
            self._global.update(self._records(content))
        else:
            self._local = self._records(content)
        self._skip(self._padding)

    def _records(self, content: bytes) -> dict[str, bytes]:
        """pax records: ``<length> <key>=<value>\\n``, where the length counts all of it."""
        found: dict[str, bytes] = {}
        pieces: list[bytes] = []
        place = 0
        while place < len(content) and content[place]:
            match = _RECORD.match(content, place)
            length = int(match[1]) if match else 0
            record = content[match.end() : place + length] if match else b""
            key, equals, value = record[:-1].partition(b"=")
            if not equals or record[-1:] != b"\n" or place + length > len(content):
                raise self._broken("a pax header is broken")
            if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):  # GNU 0.0 repeats these
                pieces.append(value)
            if key in _KEYS:
                found[key.decode("ascii")] = value
            place += length
        if pieces:
            found["GNU.sparse.map"] = b",".join(pieces)
        return found

    def _entry(self, block: bytes, kind: bytes, size: int) -> None:
        pax = {**self._global, **self._local}
        name, target = _text(block[0:100]), _text(block[157:257])
        if block[257:263] == b"ustar\x00" and block[345]:
            name = _text(block[345:500]) + b"/" + name
        name = pax.get("GNU.sparse.name") or pax.get("path") or self._long_name or name
        target = pax.get("linkpath") or self._long_target or target
        if "size" in pax:
            size = self._decimal(pax["size"])
        self._local, self._long_name, self._long_target = {}, b"", b""
        shown = printable(name.decode("utf-8", "replace"))
        if kind in (b"3", b"4", b"6"):
            what = {b"3": "a device", b"4": "a device", b"6": "a FIFO"}[kind]
            raise ArchiveSpecialFile(
                f"{self._archive}: '{shown}' is {what}; mods hold only files and folders: remove it",
                archive=self._archive,
                entry=shown,
            )
        if kind in (b"M", b"N"):
            raise ArchiveUnsupported(
                f"{self._archive}: '{shown}' is stored in a way that is not read here; pack it with another program",
                archive=self._archive,
                entry=shown,
            )
        if kind in (b"V", b"D"):  # a volume's label; an incremental dump's list of a folder
            self._skip(size + -size % BLOCK)
            return
        self._begin(block, kind, self._decoded(name, shown), self._decoded(target, shown), size, pax)

    def _begin(self, block: bytes, kind: bytes, name: str, target: str, size: int, pax: dict[str, bytes]) -> None:
        kinds = {b"1": "hard link", b"2": "symlink", b"5": "folder"}
        what = kinds.get(kind, "folder" if kind in (b"\x00", b"0") and name.endswith("/") else "file")
        member = TarMember(name, size if what == "file" else 0, what, target if what.endswith("link") else "")
        self._sparse = self._sparse_of(block, kind, pax) if what == "file" else None
        if what != "file":
            self._on_member(member)
            self._skip(0)
            return
        self._member, self._position = member, 0
        self._padding = -size % BLOCK
        if self._sparse is None:
            self._announce(size)
        elif kind == b"S" and block[482]:
            self._data_size = size
            self._expect(BLOCK, self._more_sparse)
        elif self._sparse.map_in_data:
            self._data_size = size
            self._expect(BLOCK, self._map_in_data)
        else:
            self._announce(size)

    # --- data ------------------------------------------------------------------------------------------

    def _announce(self, data_size: int) -> None:
        """The headers are complete: report the entry and expect its data."""
        assert self._member is not None
        if self._sparse is not None:
            self._check_sparse(self._sparse, data_size)
            self._member.size = self._sparse.size
        self._keeping = bytearray() if self._on_member(self._member) else None
        if self._keeping is not None:
            self.kept[self._member.name] = self._keeping
        self._expect(data_size, self._data_end)

    def _data(self, view: memoryview, start: int, end: int, cuts: list[Cut]) -> None:
        if self._sparse is None:
            cuts.append(Cut(start, end, False))
            if self._keeping is not None:
                self._keeping += view[start:end]
            return
        while start < end:
            offset, length = self._sparse.pieces[-1]
            if self._position < offset:
                self._hole(offset - self._position, cuts)
            taken = min(end - start, offset + length - self._position)
            cuts.append(Cut(start, start + taken, False))
            if self._keeping is not None:
                self._keeping += view[start : start + taken]
            start += taken
            self._position += taken
            if self._position == offset + length:
                self._sparse.pieces.pop()

    def _hole(self, count: int, cuts: list[Cut]) -> None:
        cuts.append(Cut(ZEROS, count, False))
        self._position += count
        if self._keeping is not None:
            self._keeping += bytes(count)

    def _data_end(self, cuts: list[Cut]) -> None:
        if self._sparse is not None and self._position < self._sparse.size:
            self._hole(self._sparse.size - self._position, cuts)
        cuts.append(Cut(0, 0, True))
        self._member = self._sparse = self._keeping = None
        self._skip(self._padding)

    # --- sparse files ----------------------------------------------------------------------------------

    def _sparse_of(self, block: bytes, kind: bytes, pax: dict[str, bytes]) -> _Sparse | None:
        if kind == b"S":
            return _Sparse(self._pieces(block, 386, 4), self._number(block[483:495]))
        if pax.get("GNU.sparse.major") == b"1":
            return _Sparse(size=self._decimal(pax.get("GNU.sparse.realsize", b"")), map_in_data=True)
        if "GNU.sparse.map" in pax:
            numbers = [self._decimal(number) for number in pax["GNU.sparse.map"].split(b",")]
            return _Sparse(
                list(zip(numbers[::2], numbers[1::2], strict=False)), self._decimal(pax.get("GNU.sparse.size", b""))
            )
        return None

    def _pieces(self, block: bytes, start: int, count: int) -> list[tuple[int, int]]:
        places = range(start, start + 24 * count, 24)
        return [
            (self._number(block[at : at + 12]), self._number(block[at + 12 : at + 24])) for at in places if block[at]
        ]

    def _more_sparse(self, cuts: list[Cut]) -> None:
        assert self._sparse is not None
        block = bytes(self._collected)
        self._sparse.pieces += self._pieces(block, 0, 21)
        if len(self._sparse.pieces) > _MOST_PIECES:
            raise self._broken("a sparse file has too many pieces")
        if block[504]:
            self._expect(BLOCK, self._more_sparse)
        else:
            self._announce(self._data_size)

    def _map_in_data(self, cuts: list[Cut]) -> None:
        """GNU 1.0: decimal numbers, one a line, padded to blocks: count, then offset and length of each piece."""
        assert self._sparse is not None
        self._data_size -= BLOCK
        lines = bytes(self._collected).rstrip(b"\x00").split(b"\n")
        count = self._decimal(lines[0]) if len(lines) > 1 else _MOST_PIECES + 1
        if count > _MOST_PIECES or self._data_size < 0:
            raise self._broken("a sparse file's map is broken")
        if len(lines) < 2 * count + 2:
            self._wanted = BLOCK
            return
        numbers = [self._decimal(line) for line in lines[1 : 2 * count + 1]]
        self._sparse.pieces = list(zip(numbers[::2], numbers[1::2], strict=True))
        self._announce(self._data_size)

    def _check_sparse(self, sparse: _Sparse, data_size: int) -> None:
        position = 0
        for offset, length in sparse.pieces:
            if offset < position:
                raise self._broken("a sparse file's map is broken")
            position = offset + length
        if position > sparse.size or sum(length for _, length in sparse.pieces) != data_size:
            raise self._broken("a sparse file's map is broken")
        sparse.pieces = [piece for piece in reversed(sparse.pieces) if piece[1]]

    # --- fields ----------------------------------------------------------------------------------------

    def _number(self, raw: bytes) -> int:
        """A header's number: octal text, or base 256 where its first bit is set (GNU)."""
        if raw[0] & 0x80:
            if raw[0] == 0xFF:
                raise self._broken("a size is negative")
            return int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:], "big")
        try:
            return int(raw.strip(b" \x00") or b"0", 8)
        except ValueError as error:
            raise self._broken("a number in a header is none") from error

    def _decimal(self, raw: bytes) -> int:
        if not raw.isdigit() or len(raw) > 20:
            raise self._broken("a number in a header is none")
        return int(raw)

    def _decoded(self, raw: bytes, shown: str) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArchiveNameRefused(
                f"{self._archive}: the name '{shown}' is not valid UTF-8; rename it and pack the archive again",
                archive=self._archive,
                entry=shown,
            ) from error

    def _broken(self, reason: str) -> ArchiveDamaged:
        return ArchiveDamaged(f"{self._archive} is broken: {reason}; pack it again", archive=self._archive)


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\x00")[0]
