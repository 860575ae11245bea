"""One file being written: the bytes so far, their hashes, and what the server said about them.

Owns a single try of a single link: the conditional and Range headers, the answer's status, and the stream to disk.
Does not wait, does not retry and does not choose among links; it remembers how far it came, so that the next try of
the same link goes on from there. What always holds: a byte is written once, at the end of the file, and hashed once;
bytes of two different links never mix.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from knossos import tally
from knossos.outgoing import OutgoingError, Reply
from knossos.packaging.downloads.errors import LinkFailed, LinkRefused, NotEnoughSpace
from knossos.packaging.downloads.hashing import FileHashes
from knossos.packaging.downloads.known_links import KnownFile
from knossos.packaging.downloads.pages import HEAD_BYTES, is_web_page

#: Bytes of the disk that a download leaves free.
RESERVED_BYTES = 64 * 1024 * 1024
#: Written bytes between two looks at the free space while the size of the file is unknown.
SPACE_CHECK_BYTES = 64 * 1024 * 1024
#: Seconds between two reports of the progress.
REPORT_SECONDS = 0.1
#: Statuses that may be different next time, besides all of 5xx.
TEMPORARY = (408, 425, 429)

_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)$")

#: Sends the headers to the link and returns the answer.
Opener = Callable[[Mapping[str, str]], Reply]


class Transfer:
    """Writes `target` from one link at a time. Use it in a `with` block; without success the file is removed.

    Args:
        max_bytes: the largest file.
        on_progress: called with the bytes so far and the size, None where the server does not say it.
        check: called now and then; what it raises ends everything.
        allow_pages: whether a web page is a good file.
    """

    def __init__(
        self,
        target: Path,
        *,
        max_bytes: int,
        on_progress: Callable[[int, int | None], None],
        check: Callable[[], None],
        allow_pages: bool,
    ) -> None:
        self.done = 0
        #: How far any try of the present URL has come: a try that gets beyond it was worth something.
        self.farthest = 0
        self.etag: str | None = None
        self.last_modified: str | None = None
        self._target = target
        self._max_bytes = max_bytes
        self._on_progress = on_progress
        self._check = check
        self._allow_pages = allow_pages
        self._hashes = FileHashes()
        self._url = ""
        self._total: int | None = None
        self._complete = False
        self._reported = 0.0
        # Unbuffered: the pieces are big, and each goes to the system once.
        self._file = target.open("wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._hashes.close()
        if not self._complete:
            self._target.unlink(missing_ok=True)

    def progress_of(self, url: str) -> int:
        """How many bytes of this URL's file any try has brought, if it is the URL that was tried last."""
        return self.farthest if url == self._url else 0

    def hashes(self) -> tuple[str, str]:
        """MD5 and SHA-256 of the finished file."""
        return self._hashes.result()

    def discard(self) -> None:
        """Forget the finished file: it is not the one that is meant."""
        self._complete = False
        self._start_over()

    def run(self, url: str, open_link: Opener, known: KnownFile | None) -> bool:
        """Try the link once: True when the file is complete, False when it is still what `known` describes.

        Args:
            url: what the bytes belong to: a try of another URL starts from nothing.
            open_link: see `Opener`.
        Raises:
            LinkFailed: it did not give the file; `done` says how far it came.
            OutgoingError: the same, below HTTP.
            NotEnoughSpace: the disk is full.
        """
        if url != self._url:
            self._start_over()
            self._url, self.farthest = url, 0
        headers = self._range_headers() or self._conditions(known)
        with open_link(headers) as reply:
            if reply.status == 304 and known is not None and "Range" not in headers:
                return False
            if reply.status == 416 and self._is_all(reply):
                self._finish()
                return True
            if reply.status == 206 and self._continues(reply):
                self._receive(reply)
                return True
            if reply.status == 200:
                self._start_over()
                if known is not None and self._is_unchanged(reply, known):
                    return False
                self._receive(reply)
                return True
            if "Range" not in headers:
                raise refused_status(url, reply)
        if reply.status in (206, 416):
            # The part does not fit to what is here, so what is here is of no use.
            self._start_over()
            return self.run(url, open_link, known)
        raise refused_status(url, reply)

    def _range_headers(self) -> dict[str, str]:
        if not self.done:
            return {}
        headers = {"Range": f"bytes={self.done}-"}
        if self.etag is not None and not self.etag.startswith("W/"):
            headers["If-Range"] = self.etag
        elif self.last_modified is not None and self.etag is None:
            headers["If-Range"] = self.last_modified
        return headers

    def _conditions(self, known: KnownFile | None) -> dict[str, str]:
        headers: dict[str, str] = {}
        if known is not None and known.etag is not None:
            headers["If-None-Match"] = known.etag
        if known is not None and known.last_modified is not None:
            headers["If-Modified-Since"] = known.last_modified
        return headers

    def _is_unchanged(self, reply: Reply, known: KnownFile) -> bool:
        """Whether a server that ignores conditions sends the very same file again."""
        tag = reply.headers.get("ETag")
        same_tag = tag is not None and not tag.startswith("W/") and tag == known.etag
        return same_tag and _number(reply.headers.get("Content-Length")) == known.size

    def _continues(self, reply: Reply) -> bool:
        found = _CONTENT_RANGE.match(reply.headers.get("Content-Range", ""))
        if found is None or found[1] is None or int(found[1]) != self.done:
            return False
        total = None if found[2] == "*" else int(found[2])
        same_size = self._total is None or total is None or total == self._total
        tag = reply.headers.get("ETag")
        return same_size and (tag is None or self.etag is None or tag == self.etag)

    def _is_all(self, reply: Reply) -> bool:
        found = _CONTENT_RANGE.match(reply.headers.get("Content-Range", ""))
        whole = found is not None and found[1] is None and found[2] == str(self.done)
        return whole and self._total in (None, self.done)

    def _receive(self, reply: Reply) -> None:
        length = _number(reply.headers.get("Content-Length"))
        if not self.done:
            self.etag = reply.headers.get("ETag")
            self.last_modified = reply.headers.get("Last-Modified")
            self._total = length
        elif self._total is None and length is not None:
            self._total = self.done + length
        self._check_size()
        self._check_space()
        if not self.done:
            self._write_head(reply)
        while piece := reply.read1():
            self._write(piece)
        self._finish()

    def _write_head(self, reply: Reply) -> None:
        head = b""
        try:
            while len(head) < HEAD_BYTES and (piece := reply.read1()):
                head += piece
        except OutgoingError:
            self._write(head)
            raise
        if not self._allow_pages and is_web_page(reply.headers.get("Content-Type", ""), head[:HEAD_BYTES]):
            raise LinkRefused(f"{self._url}: this link gives a web page, not a file", url=self._url)
        self._write(head)

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise NotEnoughSpace(
                f"{self._target.name} cannot be written after {self.done:,} bytes: {error.strerror}",
                needed=self._total,
                free=shutil.disk_usage(self._target.parent).free,
            ) from error
        self._hashes.update(piece)
        tally.add("download_bytes", amount=len(piece))
        before = self.done
        self.done += len(piece)
        self.farthest = max(self.farthest, self.done)
        self._check_size()
        if before // SPACE_CHECK_BYTES != self.done // SPACE_CHECK_BYTES:
            self._check_space()
        now = time.monotonic()
        if now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._check()
            self._on_progress(self.done, self._total)

    def _finish(self) -> None:
        if self._total is not None and self.done != self._total:
            message = f"{self._url}: {self._total:,} bytes were announced and {self.done:,} came"
            raise LinkFailed(message, url=self._url)
        self._complete = True
        self._on_progress(self.done, self.done)

    def _check_size(self) -> None:
        size = max(self.done, self._total or 0)
        if size > self._max_bytes:
            raise LinkRefused(f"{self._url}: the file is larger than {self._max_bytes:,} bytes", url=self._url)

    def _check_space(self) -> None:
        needed = max(0, (self._total or self.done) - self.done) + RESERVED_BYTES
        free = shutil.disk_usage(self._target.parent).free
        if needed > free:
            raise NotEnoughSpace(
                f"{self._target.name} does not fit on the disk: {needed:,} bytes are needed and {free:,} are free",
                needed=needed,
                free=free,
            )

    def _start_over(self) -> None:
        if self.done:
            self._file.seek(0)
            os.truncate(self._file.fileno(), 0)
            self._hashes.restart()
        self.done = 0
        self.etag = self.last_modified = self._total = None


def refused_status(url: str, reply: Reply) -> LinkFailed:
    """The error for an answer that is no file."""
    status = reply.status
    message = f"{url}: the server answers {status}{_MEANING.get(status, '')}"
    if status in TEMPORARY or status >= 500:
        return LinkFailed(message, url=url, status=status, retry_after=_seconds(reply.headers.get("Retry-After")))
    return LinkRefused(message, url=url, status=status)


_MEANING = {
    401: " (a password is needed)",
    403: " (access denied)",
    404: " (there is no such file)",
    410: " (the file was removed)",
    429: " (too many requests)",
    503: " (it is overloaded)",
}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _seconds(text: str | None) -> float | None:
    """Retry-After: seconds, or a date."""
    if text is None:
        return None
    if (number := _number(text.strip())) is not None:
        return float(number)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
