"""Paths as people send them. Pure: what a path means is its parts; what is there is for others to look at.

Scripts give files names that are no UTF-8. Here these are what Python makes of them (`os.fsdecode`), so that they can
be looked at, renamed and removed; nothing new gets such a name.
"""

from __future__ import annotations

from knossos.homes.errors import BadPath, LeavesHome

#: Most bytes of one part (what Linux takes), and most parts: deeper folders count as full (`sandbox/usage.py`).
MAX_NAME_BYTES = 255
MAX_PARTS = 100

_NO_TEXT = "expected text in UTF-8 without NUL"


def parts_of(text: str) -> tuple[str, ...]:
    """The names that lead from the home to what a path means; none for the home itself.

    A slash at the beginning, or more than one of them, means nothing; ``.`` is where one is.

    Raises:
        LeavesHome: it has a ``..``, wherever that would lead.
        BadPath: no file can have it.
    """
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise LeavesHome("A path may not have '..' in it.")
    if len(parts) > MAX_PARTS:
        raise _bad(f"expected a path of at most {MAX_PARTS} folders")
    for part in parts:
        _check(part)
    return tuple(parts)


def plain_name(text: str) -> str:
    """A name of its own, for something new in a folder.

    Raises:
        LeavesHome, BadPath: as for a path.
    """
    parts = parts_of(text)
    if len(parts) != 1 or parts[0] != text:
        raise _bad("expected one name without a slash")
    if not is_text(text):
        raise _bad(_NO_TEXT)
    return text


def is_text(name: str) -> bool:
    """Whether a name is UTF-8, as all that are made here."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def shown(name: str) -> str:
    """A name as it can be told: what is no UTF-8 in it is U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _check(part: str) -> None:
    if "\0" in part:
        raise _bad(_NO_TEXT)
    try:
        size = len(part.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError as error:
        raise _bad(_NO_TEXT) from error
    if size > MAX_NAME_BYTES:
        raise _bad(f"expected names of at most {MAX_NAME_BYTES} bytes")


def _bad(message: str) -> BadPath:
    return BadPath.at("path", message)
