"""Symlinks and hard links inside an archive: none may lead out of it.

Links are followed as a file system would follow them, in the tree that the archive describes; nothing is ever
created. A symlink whose target is not in the archive, but would lie inside of it, dangles and is let through.
"""

from __future__ import annotations

from collections.abc import Iterable

from knossos.packaging.archives.errors import ArchiveLinkRefused, printable
from knossos.packaging.archives.model import Link

#: Links that may be followed on the way to one target; Linux has the same bound.
_MOST_HOPS = 40


def check_symlinks(links: Iterable[Link], archive: str) -> None:
    """Make sure that every symlink stays inside the archive, also by way of other links.

    Raises:
        ArchiveLinkRefused: one does not, or goes round in a circle.
    """
    table = {tuple(link.name.split("/")): link for link in links}
    for link in table.values():
        target = link.target.replace("\\", "/")
        if target.startswith("/") or target[1:2] == ":":
            raise refused(link.name, link.target, archive, "is absolute")
        if not target or "\x00" in target:
            raise refused(link.name, link.target, archive, "makes no sense")
        _follow(link, table, archive)


def _follow(link: Link, table: dict[tuple[str, ...], Link], archive: str) -> None:
    place: list[str] = link.name.split("/")[:-1]
    ahead = link.target.replace("\\", "/").split("/")[::-1]
    hops = 0
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not place:
                raise refused(link.name, link.target, archive, "leads out of the archive")
            place.pop()
            continue
        place.append(part)
        next_link = table.get(tuple(place))
        if next_link is not None:
            hops += 1
            if hops > _MOST_HOPS:
                raise refused(link.name, link.target, archive, "goes round in a circle")
            place.pop()
            ahead.extend(next_link.target.replace("\\", "/").split("/")[::-1])


def refused(name: str, target: str, archive: str, reason: str) -> ArchiveLinkRefused:
    """The error for a link that cannot be let through; the reason continues "the target ..."."""
    shown, to = printable(name), printable(target)
    return ArchiveLinkRefused(
        f"{archive}: the link '{shown}' to '{to}' cannot be used: the target {reason}; "
        "put a file in its place and pack the archive again",
        archive=archive,
        entry=shown,
        target=to,
    )
