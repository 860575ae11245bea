"""Asking one link what it would give, without fetching it; and many links, politely.

Owns the requests: ``HEAD``, and where that does not say enough a ``GET`` of the first byte, which is not read. What
always holds: of one host only `PER_HOST` links are asked at once, however many threads there are.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from knossos.client.tools.mirror_links import host_of
from knossos.outgoing import AddressRefused, OutgoingError, OutgoingHttp, Reply
from knossos.outgoing.guard import without_password
from knossos.packaging.conversion.pipeline import Stopped, StopSignal
from knossos.packaging.downloads import is_hoster_page

#: Links of one host that are asked at once.
PER_HOST = 2
#: Tries of a link that may just have a bad moment, and seconds between them.
TRIES = 2
PAUSE_SECONDS = 3.0
#: Statuses that may be different next time, besides all of 5xx.
TEMPORARY = (408, 425, 429)

_CONTENT_RANGE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)$")


@dataclass(frozen=True)
class Answer:
    """What a link said. ``problem`` is "" where it would give a file."""

    url: str
    problem: str = ""
    status: int | None = None
    #: Bytes of the file, where the server says it.
    size: int | None = None
    etag: str = ""
    #: Where it leads, where that is elsewhere.
    leads_to: str = ""
    #: Whether it gives a web page.
    is_page: bool = False
    #: Until the headers were here.
    seconds: float = 0.0


def check_links(
    http: OutgoingHttp,
    urls: Iterable[str],
    *,
    jobs: int,
    on_answer: Callable[[Answer], None],
) -> dict[str, Answer]:
    """Ask every link, ``jobs`` at once; ``on_answer`` is called for each, by one thread at a time."""
    queue = _HostQueues(urls)
    signal = StopSignal(lambda: None)
    answers: dict[str, Answer] = {}
    lock = threading.Lock()

    def work() -> None:
        while (url := queue.take()) is not None:
            try:
                answer = check_link(http, url, check=signal.check)
            except Stopped:
                return
            finally:
                queue.give_back(url)
            with lock:
                answers[url] = answer
                on_answer(answer)

    with ThreadPoolExecutor(jobs, "mirror") as pool:
        working = [pool.submit(work) for _ in range(jobs)]
        try:
            for future in working:
                future.result()
        except BaseException:
            signal.set()
            queue.close()
            raise
    return answers


def check_link(http: OutgoingHttp, url: str, *, check: Callable[[], None]) -> Answer:
    """Ask one link, again after a pause where that may help."""
    if is_hoster_page(url):
        return Answer(url, "this is a page of a file hoster, not the file")
    answer = Answer(url)
    for number in range(TRIES):
        if number:
            _sleep(PAUSE_SECONDS, check)
        answer, again = _ask(http, url, check)
        if not again:
            break
    return answer


def _ask(http: OutgoingHttp, url: str, check: Callable[[], None]) -> tuple[Answer, bool]:
    """One try, and whether another one may help."""
    begun = time.monotonic()
    try:
        with http.open(url, method="HEAD", check=check) as reply:
            answer = _read(url, reply, time.monotonic() - begun)
        if answer.problem or answer.size is None:
            # Some servers know no HEAD, refuse it, or leave the length out.
            begun = time.monotonic()
            with http.open(url, headers={"Range": "bytes=0-0"}, check=check) as reply:
                answer = _read(url, reply, time.monotonic() - begun)
    except OutgoingError as error:
        return Answer(url, _reason(error, url), seconds=time.monotonic() - begun), error.retryable
    again = bool(answer.problem) and (answer.status in TEMPORARY or (answer.status or 0) >= 500)
    return answer, again


def _reason(error: OutgoingError, url: str) -> str:
    """The message without the link, beside which it will stand; where a redirect led, it names that."""
    if isinstance(error, AddressRefused) and error.url == without_password(url):
        return f"it is refused: {error.reason}"
    return error.message.removeprefix(f"{without_password(url)}: ")


def _read(url: str, reply: Reply, seconds: float) -> Answer:
    good = reply.status in (200, 206)
    length = reply.headers.get("Content-Length", "")
    size = int(length) if length.isascii() and length.isdigit() and not reply.headers.get("Content-Encoding") else None
    if reply.status == 206:
        found = _CONTENT_RANGE.match(reply.headers.get("Content-Range", "").strip())
        size = int(found.group(1)) if found else None
    return Answer(
        url,
        "" if good else f"it answers {reply.status}",
        status=reply.status,
        size=size if good else None,
        etag=reply.headers.get("ETag", "")[:200],
        leads_to=reply.url if reply.url.rstrip("/") != url.strip().rstrip("/") else "",
        is_page=reply.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")),
        seconds=seconds,
    )


def _sleep(seconds: float, check: Callable[[], None]) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, 0.2))


class _HostQueues:
    """Links by their host, handed out in turn, with at most `PER_HOST` of one host in the hands of workers."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._waiting: dict[str, deque[str]] = {}
        for url in urls:
            self._waiting.setdefault(host_of(url), deque()).append(url)
        self._turn = deque(self._waiting)
        self._busy: Counter[str] = Counter()
        self._changed = threading.Condition()

    def take(self) -> str | None:
        """A link whose host has room, as soon as there is one; None once all are handed out."""
        with self._changed:
            while self._waiting:
                host = self._with_room(self._turn)
                if host is not None:
                    return self._hand_out(host)
                self._changed.wait()
        return None

    def give_back(self, url: str) -> None:
        """Say that a link's answer is here."""
        with self._changed:
            self._busy[host_of(url)] -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def _with_room(self, hosts: Sequence[str]) -> str | None:
        return next((host for host in hosts if self._busy[host] < PER_HOST), None)

    def _hand_out(self, host: str) -> str:
        url = self._waiting[host].popleft()
        self._busy[host] += 1
        self._turn.remove(host)
        if self._waiting[host]:
            self._turn.append(host)
        else:
            del self._waiting[host]
            if not self._waiting:
                self._changed.notify_all()
        return url
