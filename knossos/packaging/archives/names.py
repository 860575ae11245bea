"""Which names an archive's entries may have, and that no two of them want the same place.

A name that is let through can be created on Linux, Windows and macOS, stays inside the mod's folder on all of
them, and means the same file there. What only looks odd is put straight; what is dangerous or ambiguous is refused.
"""

from __future__ import annotations

import re
import unicodedata

from knossos.packaging.archives.errors import ArchiveNameRefused, ArchiveNamesCollide, printable

#: Longest part of a path in bytes on every file system in use, and longest path.
_LONGEST_PART, _LONGEST_PATH = 255, 1024

_DEVICES = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])[ ]*(?:\..*)?",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
#: Bytes of a name that are no UTF-8, as they come out of ``surrogateescape``.
_NOT_UNICODE = re.compile(r"[\udc80-\udcff]")
#: Characters that no name on Windows can have, besides ':' and the slashes.
_FORBIDDEN = re.compile(r'[?*<>|"]')
_DRIVE = re.compile(r"[A-Za-z]:")
#: A name for which none of the checks below is needed.
_PLAIN = re.compile(r"(?:[\w\-()+,!@#&=~'\[\]{}]+(?:[ .]+[\w\-()+,!@#&=~'\[\]{}]+)*(?:/(?!$)|$))+", re.ASCII)


def safe_name(raw: str, archive: str) -> str:
    """The name in its one form: parts joined by '/', without ``.`` parts, doubled slashes and backslashes.

    Raises:
        ArchiveNameRefused: the name says where the entry is to go, or cannot exist everywhere.
    """
    parts = raw.split("/") if len(raw) < 200 and _PLAIN.fullmatch(raw) else _checked_parts(raw, archive)
    for part in parts:
        # Short first parts only: devices have at most seven letters.
        if part[:3].lower() in _DEVICE_STARTS and _DEVICES.fullmatch(part):
            raise _refused(raw, archive, f"{part} is the name of a device on Windows")
    name = "/".join(parts)
    return raw if name == raw else name  # one string where two would be alike


_DEVICE_STARTS = frozenset({"con", "prn", "aux", "nul", "com", "lpt"})


def _checked_parts(raw: str, archive: str) -> list[str]:
    if _NOT_UNICODE.search(raw):
        raise _not_unicode(raw, archive)
    if _CONTROL.search(raw):
        raise _refused(raw, archive, "it holds control characters, or is no valid Unicode")
    path = raw.replace("\\", "/")
    if path.startswith("/"):
        raise _refused(raw, archive, "it is absolute")
    if _DRIVE.match(path):
        raise _refused(raw, archive, "it names a drive")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for part in parts:
        if part == "..":
            raise _refused(raw, archive, "it leads out of the folder ('..')")
        if ":" in part:
            raise _refused(raw, archive, "a ':' has a meaning of its own on Windows")
        forbidden = _FORBIDDEN.search(part)
        if forbidden:
            raise _refused(raw, archive, f"Windows cannot store a {forbidden[0]} in a name")
        if part[-1] in ". ":
            raise _refused(raw, archive, "Windows drops dots and spaces at the end of a name")
        if len(part.encode("utf-8")) > _LONGEST_PART:
            raise _refused(raw, archive, f"a part of it is longer than {_LONGEST_PART} bytes")
    if len(raw.encode("utf-8")) > _LONGEST_PATH:
        raise _refused(raw, archive, f"it is longer than {_LONGEST_PATH} bytes")
    return parts


def _refused(raw: str, archive: str, reason: str) -> ArchiveNameRefused:
    shown = printable(raw)
    return ArchiveNameRefused(
        f"{archive}: the name '{shown}' cannot be used: {reason}; rename it and pack the archive again",
        archive=archive,
        entry=shown,
    )


def _not_unicode(raw: str, archive: str) -> ArchiveNameRefused:
    # In a zip such a name is in the code page of the computer that packed it. Which one is not written down: Linux gets
    # the bare bytes, and each Windows takes its own code page, so that no two players would get the same name.
    shown = printable(_NOT_UNICODE.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", raw))
    return ArchiveNameRefused(
        f"{archive}: the name '{shown}' is not in UTF-8 but in an old code page, which each computer reads in its own "
        "way; pack the archive again with a program that writes UTF-8 (7-Zip does for a 7z, and for a zip with "
        "-mcu=on), or use plain letters",
        archive=archive,
        entry=shown,
    )


class Names:
    """All names of one archive: gives each its one form and refuses those that collide."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        #: Of all names that are held.
        self.characters = 0
        #: Whether one is written with a backslash, which only Windows takes for a slash.
        self.has_backslashes = False

    def __len__(self) -> int:
        """Files and folders, also those that are only in the names of others."""
        return len(self._files) + len(self._folders)

    def add_file(self, raw: str) -> str:
        """The name of a file or link.

        Raises:
            ArchiveNameRefused, ArchiveNamesCollide
        """
        name = safe_name(raw, self._archive)
        self.has_backslashes = self.has_backslashes or "\\" in raw
        if not name:
            raise _refused(raw, self._archive, "it is empty")
        key = _folded(name)
        if key in self._files:
            self._collide(self._files[key], name)
        if key in self._folders:
            self._collide(self._folders[key], name)
        self._files[key] = name
        self.characters += len(name)
        self._add_parents(name, key)
        return name

    def add_folder(self, raw: str) -> None:
        """The name of a folder; the same folder may come any number of times.

        Raises:
            ArchiveNameRefused, ArchiveNamesCollide
        """
        name = safe_name(raw.rstrip("/"), self._archive) if raw.strip("/") else safe_name(raw, self._archive)
        if name:
            key = _folded(name)
            self._claim_folder(name, key)
            self._add_parents(name, key)

    def _add_parents(self, name: str, key: str) -> None:
        while True:
            key, slash, _ = key.rpartition("/")
            name = name.rpartition("/")[0]
            if not slash or key in self._folders:
                return
            self._claim_folder(name, key)

    def _claim_folder(self, name: str, key: str) -> None:
        if key in self._files:
            self._collide(self._files[key], name)
        if key not in self._folders:
            self._folders[key] = name
            self.characters += len(name)

    def _collide(self, first: str, second: str) -> None:
        one, other = printable(first), printable(second)
        if first == second:
            text = f"there is more than one entry '{one}'"
        else:
            text = f"'{one}' and '{other}' are the same name on Windows and macOS"
        raise ArchiveNamesCollide(
            f"{self._archive}: {text}; rename or remove one and pack the archive again",
            archive=self._archive,
            entry=one,
            other=other,
        )


def _folded(name: str) -> str:
    """A form that two names share where some common file system takes them for the same."""
    if name.isascii():
        lowered = name.lower()
        return name if lowered == name else lowered  # one string where two would be alike
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
