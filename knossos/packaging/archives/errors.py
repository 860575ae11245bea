"""Every way in which reading an archive can fail, by name.

Each carries ``archive`` (the file's name) and, where there is one, ``entry`` (the name inside of it), already
fit for printing. The text tells the modder what is wrong and what to do. None of these harms the worker.
"""

from __future__ import annotations

from knossos.errors import KnossosError


def printable(name: str, limit: int = 200) -> str:
    """A name from an archive in a form that is safe in logs, JSON and terminals, cut at ``limit`` characters."""
    shown = name if name.isprintable() else "".join(map(_printable, name))
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def _printable(character: str) -> str:
    escaped = character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character if character.isprintable() else escaped


class ArchiveError(KnossosError):
    """An archive cannot be used."""

    code = "archive_error"


class ArchiveUnreadable(ArchiveError):
    """There is no such file, or it is no ordinary one."""

    code = "archive_unreadable"


class ArchiveEmpty(ArchiveError):
    """The file has no bytes at all."""

    code = "archive_empty"


class ArchiveIsWebPage(ArchiveError):
    """The file is HTML: the link leads to a page, not to the archive."""

    code = "archive_is_web_page"


class ArchiveTypeUnknown(ArchiveError):
    """The content is of no type that mods come in."""

    code = "archive_type_unknown"


class ArchiveIncomplete(ArchiveError):
    """A volume of a split archive is missing, or the file is a later volume."""

    code = "archive_incomplete"


class ArchiveDamaged(ArchiveError):
    """Truncated, broken, or its sizes or checksums do not fit its contents."""

    code = "archive_damaged"


class ArchiveUnsupported(ArchiveError):
    """A method or a feature that cannot be read."""

    code = "archive_unsupported"


class ArchiveEncrypted(ArchiveError):
    """It needs a password, and nobody can give one."""

    code = "archive_encrypted"


class ArchiveNameRefused(ArchiveError):
    """An entry's name is dangerous, or cannot exist on every system that mods are for."""

    code = "archive_name_refused"


class ArchiveNamesCollide(ArchiveError):
    """Two entries want the same place. ``other`` is the second name."""

    code = "archive_names_collide"


class ArchiveLinkRefused(ArchiveError):
    """A symlink or hard link leaves the archive's own tree, or leads nowhere. ``target`` is what it points to."""

    code = "archive_link_refused"


class ArchiveSpecialFile(ArchiveError):
    """An entry is a FIFO, a device or a socket."""

    code = "archive_special_file"


class ArchiveTooBig(ArchiveError):
    """A limit is passed: ``limit`` is "bytes", "entries", "ratio" or "memory"."""

    code = "archive_too_big"


class ArchiveTimeout(ArchiveError):
    """Reading takes longer than is allowed, or 7-Zip went silent. ``limit`` is "seconds" or "silence"."""

    code = "archive_timeout"


class SevenZipDied(ArchiveError):
    """7-Zip ended in a way that says nothing about the archive (a signal, a crash). ``status`` is its exit code."""

    code = "sevenzip_died"


class EntryNotFound(ArchiveError):
    """There is no such file in the archive."""

    code = "entry_not_found"


class EntryTooBig(ArchiveError):
    """The file in the archive is larger than the caller can take."""

    code = "entry_too_big"
