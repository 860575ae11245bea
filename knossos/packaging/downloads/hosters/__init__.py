"""File hosters: links that lead to a page on which the file has to be found first.

Owns the list of hosters that are understood. Each is one module with one class that has the interface `Hoster`; the
downloader knows no hoster by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from knossos.packaging.downloads.hosters.base import Ask, DirectLink, Hoster
from knossos.packaging.downloads.hosters.box import Box
from knossos.packaging.downloads.hosters.freespacemods import FreeSpaceMods
from knossos.packaging.downloads.hosters.mediafire import MediaFire

__all__ = ["Ask", "Box", "DirectLink", "FreeSpaceMods", "Hoster", "Hosters", "MediaFire", "is_hoster_page"]


class Hosters:
    """The hosters that are understood; `hosters` replaces the usual ones."""

    def __init__(self, hosters: Sequence[Hoster] | None = None) -> None:
        self._hosters: Sequence[Hoster] = (MediaFire(), Box(), FreeSpaceMods()) if hosters is None else hosters

    def find(self, url: str) -> Hoster | None:
        """The hoster whose page this is; None for a direct link."""
        return next((hoster for hoster in self._hosters if hoster.matches(url)), None)


_USUAL = Hosters()


def is_hoster_page(url: str) -> bool:
    """Whether this link leads to a page of a hoster and not to a file."""
    return _USUAL.find(url) is not None
