"""From several links to one file: which link is tried when, what is waited for, and what is said when all fail.

Owns the order of tries. Each link that may still work is tried once in every round, so a link that fails badly only
costs its own time; a download that broke off goes on at once where it got somewhere. Between rounds it waits longer
and longer, or as long as a server asked for. One `Downloader` serves a whole job; `fetch` may run in several threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from knossos.errors import KnossosError
from knossos.outgoing import OutgoingError, OutgoingHttp, Reply
from knossos.outgoing.guard import without_password
from knossos.packaging.downloads.errors import DownloadFailed, LinkFailed, LinkRefused
from knossos.packaging.downloads.hosters import Hosters
from knossos.packaging.downloads.known_links import KnownFile
from knossos.packaging.downloads.transfer import Transfer
from knossos.settings import Settings

if TYPE_CHECKING:
    from knossos.packaging.reporting import Reporter

#: Seconds before the second, third, ... try of a link; the last one holds for all further tries.
PAUSES = (1.0, 4.0, 10.0, 30.0)
#: The longest pause in seconds that a server may ask for.
LONGEST_PAUSE = 60.0
#: New bytes that make a broken try count as progress, after which the same link is resumed at once.
PROGRESS_BYTES = 1024 * 1024
#: Seconds between two calls of the reporter's check in a pause.
CHECK_SECONDS = 0.5
#: Seconds that a try takes before the log says that it has begun: small files need no line of their own for that.
TELL_AFTER = 1.0
#: Seconds without a byte after which that is told.
QUIET_AFTER = 3.0

OnProgress = Callable[[int, int | None], None]
#: What is waited for, in a few words: "trying again in 4 s: the server answers 500".
OnWait = Callable[[str], None]
#: Given size, MD5 and SHA-256: why this is not the file that is meant; None: it is.
Accepts = Callable[[int, str, str], str | None]
#: What is known of a link: nothing, one file, or a function that looks it up.
Known = KnownFile | Callable[[str], KnownFile | None] | None


@dataclass(frozen=True)
class Downloaded:
    """A file that is here, or (`not_modified`) that is still what was known of its link; then `path` has no file.

    `url` is the link of the description that gave it. The hashes are lower-case hex.
    """

    path: Path
    size: int
    md5: str
    sha256: str
    url: str
    etag: str | None
    last_modified: str | None
    not_modified: bool

    @property
    def known(self) -> KnownFile:
        """What to remember of the link."""
        return KnownFile(
            url=self.url,
            size=self.size,
            md5=self.md5,
            sha256=self.sha256,
            etag=self.etag,
            last_modified=self.last_modified,
        )


@dataclass
class _Link:
    """A link and how its tries went."""

    url: str
    reason: str = ""
    code: str = ""
    gone: bool = False
    failed_at: float = 0.0
    asked_pause: float = 0.0

    @property
    def shown(self) -> str:
        """The link, without a password that is in it, and its reason, which may name it already."""
        url = without_password(self.url)
        return self.reason if url in self.reason else f"{url}: {self.reason}"


class _Begun:
    """The check of one file's download, which also says in the log what is being downloaded once that takes a while,
    and that nothing comes where that is so."""

    def __init__(self, name: str, reporter: Reporter, clock: Callable[[], float], on_wait: OnWait) -> None:
        self._name = name
        self._reporter = reporter
        self._clock = clock
        self._on_wait = on_wait
        self._url = ""
        self._told = False
        self._since = self._heard = 0.0

    def trying(self, url: str) -> None:
        self._url, self._told = url, False
        self._since = self._heard = self._clock()

    def heard(self) -> None:
        """Bytes came."""
        self._heard = self._clock()

    def check(self) -> None:
        self._reporter.check()
        now = self._clock()
        if not self._told and now - self._since >= TELL_AFTER:
            self._told = True
            self._reporter.info(f"Downloading {self._name} from {urlsplit(self._url).hostname}")
        if (quiet := now - self._heard) >= QUIET_AFTER:
            self._on_wait(f"{urlsplit(self._url).hostname} has sent nothing for {quiet:.0f} s")


class Downloader:
    """Fetches files for one job.

    Args:
        hosters: the file hosters whose pages are understood.
        sleep, clock: how to wait, and seconds that pass meanwhile.
    """

    def __init__(
        self,
        settings: Settings,
        http: OutgoingHttp,
        reporter: Reporter,
        *,
        hosters: Hosters | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._http = http
        self._reporter = reporter
        self._hosters = hosters or Hosters()
        self._sleep = sleep
        self._clock = clock

    def fetch(
        self,
        urls: Sequence[str],
        target: Path,
        known: Known = None,
        on_progress: OnProgress | None = None,
        *,
        on_wait: OnWait | None = None,
        allow_pages: bool = False,
        accepts: Accepts | None = None,
    ) -> Downloaded:
        """Download one file from the first of its links that gives it.

        Args:
            urls: the links, best first.
            target: where the file is written; its folder exists. After an error nothing is left there.
            known: what is known of the links whose file the caller still has; such a link is asked only whether the
                file is still the same.
            on_progress: called up to ten times a second with the bytes so far and the size (None: unknown).
            on_wait: called about twice a second while nothing comes, and between two tries.
            allow_pages: whether a web page is what is expected.
            accepts: given size, MD5 and SHA-256 of what a link gave, why it is not the file that is meant ("has ...");
                None: it is. Links that give another file count as failed.
        Raises:
            DownloadFailed: every link failed; it tells how each.
            NotEnoughSpace: the file does not fit on the disk.
        """
        links = [_Link(url) for url in dict.fromkeys(urls)]
        waits = on_wait or _ignore
        begun = _Begun(target.name, self._reporter, self._clock, waits)

        def progress(done: int, total: int | None) -> None:
            begun.heard()
            (on_progress or _ignore)(done, total)

        with Transfer(
            target,
            max_bytes=self._settings.download_max_bytes,
            on_progress=progress,
            check=begun.check,
            allow_pages=allow_pages,
        ) as transfer:
            for number in range(self._settings.download_tries):
                for link in links:
                    if link.gone:
                        continue
                    if number:
                        self._pause(link, PAUSES[min(number, len(PAUSES)) - 1], waits)
                    found = self._try(link, transfer, target, known, begun, accepts or _anything)
                    if found is not None:
                        return found
        raise _all_failed(target.name, links)

    def _try(
        self, link: _Link, transfer: Transfer, target: Path, known: Known, begun: _Begun, accepts: Accepts
    ) -> Downloaded | None:
        """One try of one link, and more of them as long as each gets further. None: it failed, `link` knows why."""
        of_link = known(link.url) if callable(known) else known if known and known.url == link.url else None
        if of_link is not None and accepts(of_link.size, of_link.md5, of_link.sha256):
            of_link = None  # it may give the right file by now
        before = transfer.progress_of(link.url)
        begun.trying(link.url)
        while True:
            begun.check()
            try:
                fresh = transfer.run(link.url, lambda headers: self._open(link.url, headers, begun.check), of_link)
            except (LinkFailed, OutgoingError) as error:
                if error.retryable and transfer.farthest - before >= PROGRESS_BYTES:
                    self._reporter.info(f"{error}; going on after {transfer.done:,} bytes")
                    before = transfer.farthest
                    continue
                self._note(link, error)
                return None
            if not fresh and of_link is not None:
                return Downloaded(target, not_modified=True, **of_link.model_dump(exclude={"version"}))
            md5, sha256 = transfer.hashes()
            if difference := accepts(transfer.done, md5, sha256):
                transfer.discard()
                self._note(link, LinkRefused(f"another file than is meant: it {difference}"))
                return None
            return Downloaded(
                target, transfer.done, md5, sha256, link.url, transfer.etag, transfer.last_modified, not_modified=False
            )

    def _open(self, url: str, headers: Mapping[str, str], check: Callable[[], None]) -> Reply:
        hoster = self._hosters.find(url)
        if hoster is None:
            return self._http.open(url, headers=headers, check=check)
        self._reporter.info(f"{url}: looking for the file on the page of {hoster.name}")
        visitor = self._http.visitor(check)
        direct = hoster.resolve(url, visitor, self._ask)
        if direct.opened is not None:
            return direct.opened
        return visitor.open(direct.url, headers={**direct.headers, **headers})

    def _ask(self, question: dict[str, Any]) -> str:
        try:
            return self._reporter.ask("captcha", question)
        except KnossosError as error:
            raise LinkRefused(f"the captcha was not answered: {error}") from error

    def _note(self, link: _Link, error: LinkFailed | OutgoingError) -> None:
        link.reason = str(error).removeprefix(f"{without_password(link.url)}: ")
        link.code = error.code
        link.gone = not error.retryable
        link.failed_at = self._clock()
        link.asked_pause = min(LONGEST_PAUSE, error.details.get("retry_after") or 0.0)
        self._reporter.warning(link.shown)

    def _pause(self, link: _Link, seconds: float, on_wait: OnWait) -> None:
        left = max(seconds, link.asked_pause) - (self._clock() - link.failed_at)
        if left > 0:
            self._reporter.info(f"{without_password(link.url)}: trying again in {math.ceil(left)} s")
        while left > 0:
            self._reporter.check()
            on_wait(f"trying again in {math.ceil(left)} s: {link.reason}")
            self._sleep(min(left, CHECK_SECONDS))
            left -= CHECK_SECONDS


def _all_failed(name: str, links: Sequence[_Link]) -> DownloadFailed:
    if not links:
        return DownloadFailed(f"{name} has no link. Add at least one to its urls.", file=name, links=[])
    lines = [f"{name} could not be downloaded from any of its {len(links)} links."]
    if len(links) == 1:
        lines = [f"{name} could not be downloaded from its only link."]
    lines += [f"- {link.shown}" for link in links]
    lines.append("Open the links in a browser, and replace those that do not give the file itself.")
    details = [{"url": without_password(link.url), "reason": link.shown, "code": link.code} for link in links]
    return DownloadFailed("\n".join(lines), file=name, links=details)


def _anything(*_: object) -> None:
    """For callers who do not know what is right."""


def _ignore(*_: object) -> None:
    """For callers who do not want to know."""
