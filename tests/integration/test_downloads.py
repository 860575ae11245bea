"""Downloads from real loopback servers that behave, and that misbehave in every way the real ones do."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from knossos.packaging.downloads import DownloadFailed, KnownFile, KnownLinks, NotEnoughSpace, downloader
from tests.support.downloads import Bench, hashes
from tests.support.file_server import Answer, Drip, FileServer, Refuse, Reset, Silent

SMALL = b"PK\x03\x04" + bytes(range(256)) * 10
BIG = os.urandom(9_000_000)
DATE = "Tue, 01 Oct 2024 10:00:00 GMT"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def one(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield one
    for bench in made:
        bench.close()


@pytest.fixture
def bench(build: Callable[..., Bench]) -> Bench:
    return build()


def ranges(server: FileServer, path: str = "/a") -> list[str | None]:
    return [request.headers["Range"] for request in server.asked(path)]


# --- the good case ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"x", SMALL, BIG])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_arrives_whole_with_its_hashes(server: FileServer, bench: Bench, data: bytes, chunked: bool) -> None:
    url = server.file("/a", data, chunked=chunked, etag='"1"', last_modified=DATE)
    seen: list[tuple[int, int | None]] = []
    found = bench.downloader.fetch([url], bench.target, on_progress=lambda done, total: seen.append((done, total)))
    assert bench.target.read_bytes() == data
    assert (found.md5, found.sha256) == hashes(data)
    assert (found.size, found.url, found.path) == (len(data), url, bench.target)
    assert (found.etag, found.last_modified, found.not_modified) == ('"1"', DATE, False)
    assert seen[-1] == (len(data), len(data))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.count("/a") == 1


def test_a_file_without_an_announced_size_arrives(server: FileServer, bench: Bench) -> None:
    """A body that ends with the connection: HTTP/1.0, and some scripts."""
    url = server.handle("/a", lambda request: Answer(headers={"Connection": "close", "Content-Length": ""}, body=SMALL))
    assert bench.downloader.fetch([url], bench.target).sha256 == hashes(SMALL)[1]


def test_several_files_at_once_do_not_mix(server: FileServer, bench: Bench, tmp_path: Path) -> None:
    contents = [os.urandom(5_000_000 + number) for number in range(4)]
    urls = [server.file(f"/{number}", data) for number, data in enumerate(contents)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda n: bench.downloader.fetch([urls[n]], tmp_path / str(n)), range(4)))
    assert [(one.md5, one.sha256) for one in found] == [hashes(data) for data in contents]
    assert [one.path.read_bytes() for one in found] == contents


def test_memory_stays_flat_whatever_the_size(server: FileServer, bench: Bench, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(300_000_000)
    url = server.file("/a", big)
    tracemalloc.start()
    try:
        bench.downloader.fetch([url], bench.target)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bench.target.stat().st_size == 300_000_000
    assert peak < 24_000_000


# --- resuming -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [False, True])
def test_a_broken_download_is_resumed_where_it_broke(server: FileServer, bench: Bench, clean: bool) -> None:
    faults = [Reset(after=1000, clean=clean), Reset(after=500, clean=clean)]
    url = server.file("/a", SMALL, etag='"1"', faults=faults)
    found = bench.downloader.fetch([url], bench.target)
    assert bench.target.read_bytes() == SMALL
    assert found.sha256 == hashes(SMALL)[1]
    assert ranges(server) == [None, "bytes=1000-", "bytes=1500-"]
    assert [request.headers["If-Range"] for request in server.asked("/a")] == [None, '"1"', '"1"']


def test_a_big_download_that_breaks_often_is_resumed_at_once_and_costs_no_try(
    server: FileServer, build: Callable[..., Bench]
) -> None:
    bench = build(download_tries=1)
    url = server.file("/a", BIG, last_modified=DATE, faults=[Reset(after=2_000_000)] * 4)
    assert bench.downloader.fetch([url], bench.target).sha256 == hashes(BIG)[1]
    assert ranges(server) == [None, *(f"bytes={number}000000-" for number in (2, 4, 6, 8))]
    assert server.asked("/a")[1].headers["If-Range"] == DATE
    assert bench.clock.now == 1000.0


def test_a_server_that_ignores_range_makes_it_start_over(server: FileServer, bench: Bench) -> None:
    url = server.file("/a", BIG, ranges="ignore", faults=[Reset(after=6_000_000)])
    assert bench.downloader.fetch([url], bench.target).sha256 == hashes(BIG)[1]
    assert bench.target.read_bytes() == BIG
    assert ranges(server) == [None, "bytes=6000000-"]


def test_a_server_that_ignores_range_and_always_breaks_is_given_up(
    server: FileServer, build: Callable[..., Bench]
) -> None:
    bench = build(download_tries=2)
    url = server.file("/a", BIG, ranges="ignore", always=Reset(after=3_000_000))
    with pytest.raises(DownloadFailed):
        bench.downloader.fetch([url], bench.target)
    assert server.count("/a") == 3  # the first break had got further than anything before, so it was free
    assert not bench.target.exists()


def test_a_server_that_sends_another_part_makes_it_start_over(server: FileServer, bench: Bench) -> None:
    url = server.file("/a", SMALL, ranges="wrong", faults=[Reset(after=1000)])
    assert bench.downloader.fetch([url], bench.target).sha256 == hashes(SMALL)[1]
    assert ranges(server) == [None, "bytes=1000-", None]


def test_a_file_that_changes_meanwhile_is_never_a_mixture(server: FileServer, bench: Bench) -> None:
    new = SMALL[::-1] + b"new"
    asked: list[str | None] = []

    def answer(request: Any) -> Answer:
        asked.append(request.headers["Range"])
        if len(asked) == 1:
            return Answer(200, {"ETag": '"1"', "Content-Length": str(len(SMALL))}, SMALL[:1000])
        if request.headers["Range"]:  # a server that does not know If-Range
            part = {"ETag": '"2"', "Content-Range": f"bytes 1000-{len(new) - 1}/{len(new)}"}
            return Answer(206, part, new[1000:])
        return Answer(200, {"ETag": '"2"'}, new)

    found = bench.downloader.fetch([server.handle("/a", answer)], bench.target)
    assert bench.target.read_bytes() == new
    assert (found.etag, found.sha256) == ('"2"', hashes(new)[1])
    assert asked == [None, "bytes=1000-", None]


def test_the_range_after_the_last_byte_means_that_all_is_here(server: FileServer, bench: Bench) -> None:
    """A chunked body that lost only its end mark."""
    url = server.file("/a", SMALL, chunked=True, faults=[Reset(after=len(SMALL), clean=True)])
    assert bench.downloader.fetch([url], bench.target).sha256 == hashes(SMALL)[1]
    assert ranges(server) == [None, f"bytes={len(SMALL)}-"]


def test_a_size_that_is_announced_wrongly_fails(server: FileServer, build: Callable[..., Bench]) -> None:
    bench = build(download_tries=2)
    url = server.file("/a", SMALL, length=len(SMALL) + 100)
    with pytest.raises(DownloadFailed):
        bench.downloader.fetch([url], bench.target)
    assert not bench.target.exists()


# --- retrying and other links -------------------------------------------------------------------------


def test_a_link_is_retried_with_growing_pauses(server: FileServer, bench: Bench) -> None:
    url = server.file("/a", SMALL, faults=[Refuse(500), Refuse(502), Refuse(504)])
    times: list[float] = []
    bench.reporter.on_check = lambda: times.append(bench.clock.now - 1000)
    assert bench.downloader.fetch([url], bench.target).size == len(SMALL)
    assert bench.clock.now - 1000 == 1 + 4 + 10
    assert max(b - a for a, b in itertools.pairwise(times)) <= 0.5  # a pause can be cancelled


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("0", 1), ("99999", 60), ("soon", 1), (formatdate(0, usegmt=True), 1)]
)
def test_a_server_may_say_when_to_come_back_within_reason(
    server: FileServer, bench: Bench, status: int, header: str, seconds: int
) -> None:
    url = server.file("/a", SMALL, faults=[Refuse(status, {"Retry-After": header})])
    bench.downloader.fetch([url], bench.target)
    assert bench.clock.now - 1000 == seconds


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
def test_a_link_that_is_gone_is_not_retried(server: FileServer, bench: Bench, status: int) -> None:
    url = server.status("/a", status)
    with pytest.raises(DownloadFailed, match=f"answers {status}"):
        bench.downloader.fetch([url], bench.target)
    assert server.count("/a") == 1


@pytest.mark.parametrize(
    "setup",
    [
        lambda server: server.status("/bad", 404),
        lambda server: server.status("/bad", 500),
        lambda server: server.file("/bad", SMALL, always=Silent()),
        lambda server: server.file("/bad", SMALL, always=Silent(after=100)),
        lambda server: server.file("/bad", SMALL, always=Drip(piece=1, pause=0.02)),
        lambda server: server.file("/bad", SMALL, always=Reset(after=0)),
        lambda server: server.file("/bad", SMALL, always=Reset(after=100)),
        lambda server: server.file("/bad", SMALL, length=10**15),
        lambda server: server.page("/bad", "<!DOCTYPE html><p>Log in"),
        lambda server: server.redirect("/bad", "/bad"),
        lambda server: server.redirect("/bad", "file:///etc/passwd"),
        lambda server: server.redirect("/bad", "http://10.0.0.1/"),
        lambda server: "http://192.168.0.1/a",
        lambda server: "file:///etc/passwd",
        lambda server: "http://nothing.invalid/a",
        lambda server: "http://127.0.0.9:9/a",
        lambda server: "nonsense",
        lambda server: "http://[",
        lambda server: "",
    ],
)
def test_a_first_link_that_fails_badly_never_keeps_the_others_from_being_tried(
    server: FileServer, bench: Bench, setup: Callable[[FileServer], str]
) -> None:
    good = server.file("/good", SMALL)
    found = bench.downloader.fetch([setup(server), good], bench.target)
    assert found.url == good
    assert bench.target.read_bytes() == SMALL
    assert bench.clock.now == 1000.0  # a good link waits for no bad one


def test_bytes_of_two_links_never_mix(server: FileServer, bench: Bench) -> None:
    first = server.file("/first", b"\0" * 5000, etag='"1"', always=Reset(after=3000))
    second = server.file("/second", SMALL, etag='"1"')
    found = bench.downloader.fetch([first, second], bench.target)
    assert bench.target.read_bytes() == SMALL
    assert found.sha256 == hashes(SMALL)[1]
    assert ranges(server, "/second") == [None]


def test_a_link_that_gives_another_file_counts_as_failed(server: FileServer, bench: Bench) -> None:
    wrong, good = server.file("/wrong", BIG), server.file("/good", SMALL)

    def accepts(size: int, md5: str, sha256: str) -> str | None:
        return None if (size, md5, sha256) == (len(SMALL), *hashes(SMALL)) else f"has {size} bytes"

    assert bench.downloader.fetch([wrong, good], bench.target, accepts=accepts).url == good
    assert bench.target.read_bytes() == SMALL
    bench.target.unlink()
    with pytest.raises(DownloadFailed, match=f"another file than is meant: it has {len(BIG)} bytes"):
        bench.downloader.fetch([wrong], bench.target, accepts=accepts)
    assert not bench.target.exists()
    assert ranges(server, "/wrong") == [None, None]  # once each: it will not become another one


def test_when_all_links_fail_each_is_named_with_its_reason(server: FileServer, bench: Bench) -> None:
    gone = server.status("/gone", 404)
    page = server.page("/page", "<html>Please log in</html>")
    private = "http://10.0.0.1/a.7z"
    with pytest.raises(DownloadFailed) as caught:
        bench.downloader.fetch([gone, page, private, gone], bench.target)
    assert caught.value.code == "download_failed"
    assert caught.value.file == "target.part"
    assert [link["url"] for link in caught.value.links] == [gone, page, private]
    for link, reason in zip(caught.value.links, ("404", "web page, not a file", "not public"), strict=True):
        assert reason in link["reason"]
        assert link["reason"] in str(caught.value)
    assert "Open the links in a browser" in str(caught.value)
    assert len([line for line in bench.reporter.lines if line.startswith("WARNING")]) == 3
    assert not bench.target.exists()


def test_a_file_without_links_says_so(bench: Bench) -> None:
    with pytest.raises(DownloadFailed, match="has no link"):
        bench.downloader.fetch([], bench.target)
    assert not bench.target.exists()


# --- what is no file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "application/octet-stream", ""])
def test_a_web_page_is_no_archive_whatever_it_calls_itself(server: FileServer, bench: Bench, content_type: str) -> None:
    url = server.file("/a.7z", b"\xef\xbb\xbf\r\n<!DOCTYPE HTML><title>Log in</title>", content_type=content_type)
    with pytest.raises(DownloadFailed, match="this link gives a web page, not a file"):
        bench.downloader.fetch([url], bench.target)
    assert server.count("/a.7z") == 1


def test_an_archive_that_calls_itself_a_page_is_taken(server: FileServer, bench: Bench) -> None:
    url = server.file("/a.zip", SMALL, content_type="text/html")
    assert bench.downloader.fetch([url], bench.target).size == len(SMALL)


def test_a_page_is_taken_where_one_is_wanted(server: FileServer, bench: Bench) -> None:
    url = server.page("/readme.html", "<html>Read me</html>")
    assert bench.downloader.fetch([url], bench.target, allow_pages=True).size == 20


# --- limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
def test_a_file_that_is_too_big_is_refused_before_it_is_here(
    server: FileServer, build: Callable[..., Bench], chunked: bool
) -> None:
    bench = build(download_max_bytes=1_000_000)
    seen: list[int] = []
    url = server.file("/a", BIG, chunked=chunked)
    with pytest.raises(DownloadFailed, match="larger than 1,000,000 bytes"):
        bench.downloader.fetch([url], bench.target, on_progress=lambda done, total: seen.append(done))
    assert all(done < 2_000_000 for done in seen)
    assert server.count("/a") == 1
    assert not bench.target.exists()


def test_a_file_that_does_not_fit_on_the_disk_is_refused_before_it_is_fetched(
    server: FileServer, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(bench.target.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=70_000_000))
    assert bench.downloader.fetch([server.file("/small", SMALL)], bench.target).size == len(SMALL)
    with pytest.raises(NotEnoughSpace) as caught:
        bench.downloader.fetch([server.file("/a", BIG), server.file("/b", BIG)], bench.target)
    assert caught.value.free == 70_000_000
    assert server.count("/b") == 0
    assert not bench.target.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux only")
def test_a_disk_that_is_full_after_all_is_a_named_error(server: FileServer, bench: Bench, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    with pytest.raises(NotEnoughSpace, match=os.strerror(errno.ENOSPC)):
        bench.downloader.fetch([server.file("/a", SMALL)], full)


def test_a_cancelled_job_stops_a_download_and_leaves_nothing(server: FileServer, bench: Bench) -> None:
    class Cancelled(BaseException):
        pass

    def check() -> None:
        if bench.target.exists() and bench.target.stat().st_size:
            raise Cancelled

    bench.reporter.on_check = check
    url = server.file("/a", SMALL, always=Silent(after=1000))
    with pytest.raises(Cancelled):
        bench.downloader.fetch([url], bench.target)
    assert not bench.target.exists()


# --- what is known already ----------------------------------------------------------------------------


def known_of(url: str, **changes: Any) -> KnownFile:
    md5, sha256 = hashes(SMALL)
    return KnownFile(url=url, size=len(SMALL), md5=md5, sha256=sha256, **changes)


@pytest.mark.parametrize(
    "validator", [{"etag": '"1"'}, {"last_modified": DATE}, {"etag": '"1"', "last_modified": DATE}]
)
def test_a_file_that_is_known_and_unchanged_is_not_fetched_again(
    server: FileServer, bench: Bench, validator: dict[str, str]
) -> None:
    url = server.file("/a", SMALL, **validator)  # type: ignore[arg-type]
    found = bench.downloader.fetch([url], bench.target, known_of(url, **validator))
    assert found.not_modified
    assert found.known == known_of(url, **validator)
    assert not bench.target.exists()
    request = server.asked("/a")[0]
    assert (request.headers["If-None-Match"], request.headers["If-Modified-Since"]) == (
        validator.get("etag"),
        validator.get("last_modified"),
    )


def test_a_file_that_changed_is_fetched_again(server: FileServer, bench: Bench) -> None:
    url = server.file("/a", SMALL + b"!", etag='"2"')
    found = bench.downloader.fetch([url], bench.target, known_of(url, etag='"1"'))
    assert not found.not_modified
    assert found.known == known_of(url, etag='"2"').model_copy(
        update={"size": len(SMALL) + 1, "md5": found.md5, "sha256": hashes(SMALL + b"!")[1]}
    )


def test_a_server_that_ignores_conditions_but_sends_the_same_tag_is_not_read(server: FileServer, bench: Bench) -> None:
    url = server.handle("/a", lambda request: Answer(200, {"ETag": '"1"'}, SMALL))
    assert bench.downloader.fetch([url], bench.target, known_of(url, etag='"1"')).not_modified


def test_what_is_known_of_one_link_is_not_asked_of_another(server: FileServer, bench: Bench) -> None:
    bad, good = server.status("/bad", 404), server.file("/good", SMALL, etag='"1"')
    found = bench.downloader.fetch([bad, good], bench.target, known_of(bad, etag='"1"'))
    assert not found.not_modified
    assert server.asked("/good")[0].headers["If-None-Match"] is None
    found = bench.downloader.fetch([bad, good], bench.target, lambda url: known_of(url, etag='"1"'))
    assert found.not_modified
    assert found.url == good


def test_a_server_that_says_unchanged_without_being_asked_has_failed(server: FileServer, bench: Bench) -> None:
    with pytest.raises(DownloadFailed, match="304"):
        bench.downloader.fetch([server.status("/a", 304)], bench.target)


def test_the_store_of_known_links_keeps_what_was_found(server: FileServer, bench: Bench) -> None:
    store = KnownLinks(bench.settings)
    url = server.file("/a", SMALL, etag='"1"')
    store.remember(bench.downloader.fetch([url], bench.target).known)
    bench.target.unlink()
    assert bench.downloader.fetch([url], bench.target, store.lookup).not_modified


# --- what the log says meanwhile ----------------------------------------------------------------------


def test_a_download_that_takes_a_while_is_named_in_the_log_with_its_host(server: FileServer, bench: Bench) -> None:
    url = server.file("/a", SMALL)
    bench.reporter.on_check = lambda: bench.clock.sleep(1.5)
    bench.downloader.fetch([url], bench.target)
    assert bench.reporter.lines == ["INFO: Downloading target.part from 127.0.0.1"]


def test_a_download_that_is_done_at_once_needs_no_line(server: FileServer, bench: Bench) -> None:
    bench.downloader.fetch([server.file("/a", SMALL)], bench.target)
    assert bench.reporter.lines == []


def test_each_link_that_is_tried_for_a_while_is_named_and_why_it_failed(server: FileServer, bench: Bench) -> None:
    bench.reporter.on_check = lambda: bench.clock.sleep(1.5)
    gone, good = server.status("/gone", 404), server.file("/a", SMALL)
    bench.downloader.fetch([gone, good], bench.target)
    begun, failed, begun_again = bench.reporter.lines
    assert begun == begun_again == "INFO: Downloading target.part from 127.0.0.1"
    assert failed.startswith(f"WARNING: {gone}: the server answers 404")


@pytest.mark.parametrize(("count", "words"), [(1, "its only link."), (2, "any of its 2 links.")])
def test_a_failure_begins_with_a_sentence_of_its_own(server: FileServer, bench: Bench, count: int, words: str) -> None:
    links = [server.status(f"/{number}", 404) for number in range(count)]
    with pytest.raises(DownloadFailed) as caught:
        bench.downloader.fetch(links, bench.target)
    assert caught.value.message.splitlines()[0].endswith(words)


# --- what is told while nothing comes -----------------------------------------------------------------


def test_between_two_tries_one_is_told_what_is_waited_for_and_why(server: FileServer, bench: Bench) -> None:
    url = server.file("/a", SMALL, faults=[Refuse(500)])
    waits: list[str] = []
    bench.downloader.fetch([url], bench.target, on_wait=waits.append)
    assert set(waits) == {"trying again in 1 s: the server answers 500"}
    assert bench.reporter.lines == [f"WARNING: {url}: the server answers 500", f"INFO: {url}: trying again in 1 s"]


def test_a_server_that_has_become_silent_is_named(
    server: FileServer, build: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = build(download_tries=1)
    monkeypatch.setattr(downloader, "QUIET_AFTER", 0.0)
    url = server.file("/a", SMALL, always=Silent(10))
    waits: list[str] = []
    with pytest.raises(DownloadFailed):
        bench.downloader.fetch([url], bench.target, on_wait=waits.append)
    assert set(waits) == {"127.0.0.1 has sent nothing for 0 s"}


def test_a_host_that_is_not_there_is_said_once_behind_the_link(build: Callable[..., Bench]) -> None:
    url = "https://nowhere.invalid/mod.7z"
    bench = build(download_tries=1)
    with pytest.raises(DownloadFailed) as failed:
        bench.downloader.fetch([url], bench.target)
    assert f"- {url}: there is no host nowhere.invalid\n" in failed.value.message
    assert bench.reporter.lines == [f"WARNING: {url}: there is no host nowhere.invalid"]
