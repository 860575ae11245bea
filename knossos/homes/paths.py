"""Paths as people send them. Pure: what a path means is its parts; what is there is for others to look at."""

from __future__ import annotations

from knossos.homes.errors import BadPath, LeavesHome

#: Most bytes of one part (what Linux takes), and most parts: deeper folders count as full (`sandbox/usage.py`).
MAX_NAME_BYTES = 255
MAX_PARTS = 100


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
    """A name of its own, for something in a folder.

    Raises:
        LeavesHome, BadPath: as for a path.
    """
    parts = parts_of(text)
    if len(parts) != 1 or parts[0] != text:
        raise _bad("expected one name without a slash")
    return text


def _check(part: str) -> None:
    # What was no UTF-8 in an address has come as U+FFFD.
    if "\0" in part or "\ufffd" in part:
        raise _bad("expected text in UTF-8 without NUL")
    try:
        size = len(part.encode())
    except UnicodeEncodeError as error:
        raise _bad("expected text in UTF-8 without NUL") from error
    if size > MAX_NAME_BYTES:
        raise _bad(f"expected names of at most {MAX_NAME_BYTES} bytes")


def _bad(message: str) -> BadPath:
    return BadPath(f"path: {message}", errors=[{"path": "path", "message": message}])
