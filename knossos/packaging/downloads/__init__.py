"""Getting a file from one of its links, whole and hashed, or saying of each link why not.

Owns trying links in turn, resuming, retrying, the pages of file hosters, and what is remembered of a link so that an
unchanged file is not fetched again. Does not look into files and does not decide where they are kept: the caller gives
the path, and no name ever comes from a server.
"""

from __future__ import annotations

from knossos.packaging.downloads.downloader import Downloaded, Downloader
from knossos.packaging.downloads.errors import DownloadFailed, LinkFailed, LinkRefused, NotEnoughSpace
from knossos.packaging.downloads.hosters import Hosters, is_hoster_page
from knossos.packaging.downloads.known_links import KnownFile, KnownLinks

__all__ = [
    "DownloadFailed",
    "Downloaded",
    "Downloader",
    "Hosters",
    "KnownFile",
    "KnownLinks",
    "LinkFailed",
    "LinkRefused",
    "NotEnoughSpace",
    "is_hoster_page",
]
