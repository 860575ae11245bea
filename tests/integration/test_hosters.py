"""Hosters, against pages of the shape that the real ones have, served from loopback."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from knossos.errors import KnossosError
from knossos.packaging.downloads import DownloadFailed, Hosters, is_hoster_page
from knossos.packaging.downloads.hosters import Box, FreeSpaceMods, MediaFire
from knossos.packaging.downloads.hosters.html import Page
from tests.support.downloads import Bench, hashes
from tests.support.file_server import Answer, FileServer, Request, Reset

FILE = b"7z\xbc\xaf\x27\x1c" + bytes(range(256)) * 20
PICTURE = b"\x89PNG\r\n\x1a\nnot really"
HTML = {"Content-Type": "text/html; charset=UTF-8"}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def build(server: FileServer, tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """A bench whose hoster of this class lives on the test server."""
    made: list[Bench] = []

    def one(kind: Any) -> Bench:
        made.append(Bench(tmp_path, hosters=Hosters([kind([f"127.0.0.1:{server.port}"])]), download_tries=2))
        return made[-1]

    yield one
    for bench in made:
        bench.close()


def test_a_broken_page_is_read_as_far_as_it_goes() -> None:
    assert Page("http://host/", "<a href=1>x</a><![\x01junk<a href=2>y</a>").links == [{"href": "1"}]


# --- MediaFire ----------------------------------------------------------------------------------------

LANDING = """<!DOCTYPE html>
<html lang="en-US"><head><title>mod.7z</title><script>var x = "<a id='downloadButton' href='/wrong'>";</script></head>
<body class="templates-download">
<div class="dl-info"><div class="filename">mod.7z</div></div>
<div id="download_link" class="download_link">
 <a class="preparing" href="#"><span>Preparing your download...</span></a>
 <a class="input popsok" aria-label="Download file" {attributes} id="downloadButton" rel="nofollow">
   Download (5 KB)
 </a>
</div></body></html>"""

CAPTCHA = """<!DOCTYPE html><html><body>
<form action="/search/" name="search"><input type="text" name="q"></form>
<form name="form_captcha" id="form_captcha" method="post" action="">
  <input type="hidden" name="security" value="abc&amp;123">
  <img src="../captcha/image.png?c=77" width="300">
  <input type="text" name="captcha_response" autocomplete="off">
  <input type="checkbox" name="never">
  <button type="submit">Authorize Download</button>
</form></body></html>"""


def landing(direct: str, scrambled: bool) -> str:
    if scrambled:
        hidden = base64.b64encode(direct.encode()).decode()
        return LANDING.format(attributes=f'href="javascript:void(0)" data-scrambled-url="{hidden}"')
    return LANDING.format(attributes=f'href="{direct}"')


@pytest.mark.parametrize("scrambled", [False, True])
def test_the_download_button_of_mediafire_leads_to_the_file(
    server: FileServer, build: Callable[..., Bench], scrambled: bool
) -> None:
    with FileServer() as storage:
        direct = storage.file("/abc/mod.7z", FILE)
        url = server.page("/file/abc/mod.7z/file", landing(direct, scrambled))
        bench = build(MediaFire)
        found = bench.downloader.fetch([url], bench.target)
        assert found.url == url
        assert found.sha256 == hashes(FILE)[1]
        assert storage.asked("/abc/mod.7z")[0].headers["Referer"] == url


def test_a_break_behind_a_landing_page_is_resumed(server: FileServer, build: Callable[..., Bench]) -> None:
    with FileServer() as storage:
        direct = storage.file("/mod.7z", FILE, etag='"1"', faults=[Reset(after=1000)])
        url = server.page("/file/abc", landing(direct, False))
        bench = build(MediaFire)
        assert bench.downloader.fetch([url], bench.target).sha256 == hashes(FILE)[1]
        assert [request.headers["Range"] for request in storage.asked("/mod.7z")] == [None, "bytes=1000-"]


def test_the_captcha_of_mediafire_is_put_to_the_user(server: FileServer, build: Callable[..., Bench]) -> None:
    with FileServer() as storage:
        direct = storage.file("/mod.7z", FILE)

        def page(request: Request) -> Answer:
            visitor = request.headers["Cookie"] == "session=7"
            right = {"security": "abc&123", "captcha_response": "k7Qx"}
            if request.method == "POST" and visitor and request.form == right:
                return Answer(200, HTML, landing(direct, True).encode())
            return Answer(200, {**HTML, "Set-Cookie": "session=7; path=/"}, CAPTCHA.encode())

        url = server.handle("/file/abc", page)
        server.file("/captcha/image.png", PICTURE, content_type="image/png")
        bench = build(MediaFire)
        bench.reporter.answers = ["wrong", " k7Qx "]
        assert bench.downloader.fetch([url], bench.target).sha256 == hashes(FILE)[1]
        inline = "data:image/png;base64," + base64.b64encode(PICTURE).decode()
        question = {"image": server.url("/captcha/image.png?c=77"), "inline": inline}
        assert bench.reporter.questions == [question, question]
        assert [request.headers["Cookie"] for request in server.asked("/captcha/image.png")] == ["session=7"] * 2


def test_a_code_is_asked_for_three_times_at_most(server: FileServer, build: Callable[..., Bench]) -> None:
    bench = build(MediaFire)
    bench.reporter.answers = ["a", "b", "c", "d"]
    with pytest.raises(DownloadFailed, match="the code was wrong too often"):
        bench.downloader.fetch([server.page("/file/abc", CAPTCHA)], bench.target)
    assert len(bench.reporter.questions) == 3
    assert "inline" not in bench.reporter.questions[0]  # there was no picture to be had


def test_a_question_that_nobody_answers_leaves_the_other_links(server: FileServer, build: Callable[..., Bench]) -> None:
    class NobodyAnswered(KnossosError):
        code = "question_timeout"

    with FileServer() as storage:
        bench = build(MediaFire)
        bench.reporter.answers = [NobodyAnswered("Nobody answered within 5 seconds.")]
        url, good = server.page("/file/abc", CAPTCHA), storage.file("/mod.7z", FILE)
        assert bench.downloader.fetch([url, good], bench.target).url == good
        assert any("the captcha was not answered: Nobody" in line for line in bench.reporter.lines)
        assert len(bench.reporter.questions) == 1


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("<html>We are busy</html>", "no download button"),
        ("<form id='form_captcha'><div class='g-recaptcha'></div></form>", "no picture that could be shown"),
        (LANDING.format(attributes='href="javascript:void(0)" data-scrambled-url="%%%"'), "no download button"),
        (LANDING.format(attributes='data-scrambled-url="ZmlsZTovLy9ldGMvcGFzc3dk"'), "no download button"),
        (LANDING.format(attributes='href="http://10.0.0.1/mod.7z"'), "not public"),
        (LANDING.format(attributes='href="http://127.0.0.1:9/mod.7z"'), "no connection"),
    ],
)
def test_a_landing_page_that_leads_nowhere_says_so(
    server: FileServer, build: Callable[..., Bench], page: str, reason: str
) -> None:
    bench = build(MediaFire)
    with pytest.raises(DownloadFailed, match=reason):
        bench.downloader.fetch([server.page("/file/abc", page)], bench.target)
    assert not bench.target.exists()


def test_a_removed_file_of_mediafire_is_called_that(server: FileServer, build: Callable[..., Bench]) -> None:
    server.page("/error.php", "<html>Invalid or Deleted File</html>")
    bench = build(MediaFire)
    with pytest.raises(DownloadFailed, match="removed"):
        bench.downloader.fetch([server.redirect("/file/abc", "/error.php?errno=320")], bench.target)


def test_a_landing_page_that_is_the_file_is_taken(server: FileServer, build: Callable[..., Bench]) -> None:
    bench = build(MediaFire)
    assert bench.downloader.fetch([server.file("/file/abc", FILE)], bench.target).sha256 == hashes(FILE)[1]


def test_a_landing_page_without_end_is_refused(server: FileServer, build: Callable[..., Bench]) -> None:
    bench = build(MediaFire)
    with pytest.raises(DownloadFailed, match="is over"):
        bench.downloader.fetch([server.page("/file/abc", "<p>" * 1_000_000)], bench.target)


# --- Box ----------------------------------------------------------------------------------------------

SHARED = """<!DOCTYPE html><html><head><meta charset="utf-8"><title>mod.7z | Powered by Box</title></head><body>
<script nonce="x">window.Box = window.Box || {{}};Box.config = {{"requestToken":"deadbeef","isShared":true}};</script>
<script nonce="x">
  Box.postStreamData = {data};
  Box.other = 1;
</script></body></html>"""
ITEM = '{"\\/app-api\\/enduserapp\\/shared-item":{"itemID":987654,"sharedName":"s4ared","itemType":"file"}}'


@pytest.mark.parametrize(
    "data",
    [
        ITEM,
        '{"x":[{"items":[{"typedID":"f_987654","name":"mod.7z; Box.postStreamData = {}"}]}]}',
    ],
)
def test_a_shared_link_of_box_leads_to_the_file(server: FileServer, build: Callable[..., Bench], data: str) -> None:
    def download(request: Request) -> Answer:
        assert request.headers["Cookie"] == "z=1"
        wanted = {"rm": ["box_download_shared_file"], "shared_name": ["s4ared"], "file_id": ["f_987654"]}
        assert parse_qs(request.query) == wanted
        return Answer(302, {"Location": "/d/1/x/download"})

    body = SHARED.format(data=data).encode()
    url = server.handle("/s/s4ared", lambda request: Answer(200, {**HTML, "Set-Cookie": "z=1; path=/"}, body))
    server.handle("/index.php", download)
    server.file("/d/1/x/download", FILE)
    bench = build(Box)
    found = bench.downloader.fetch([url], bench.target)
    assert (found.url, found.sha256) == (url, hashes(FILE)[1])


@pytest.mark.parametrize(
    "page",
    [
        SHARED.format(data='{"a":{"itemID":5,"sharedName":"s4ared","itemType":"folder"}}'),
        SHARED.format(data="{broken"),
        "<html>This shared file or folder link has been removed</html>",
    ],
)
def test_a_shared_link_that_is_no_file_says_so(server: FileServer, build: Callable[..., Bench], page: str) -> None:
    bench = build(Box)
    with pytest.raises(DownloadFailed, match="names no file"):
        bench.downloader.fetch([server.page("/s/s4ared", page)], bench.target)


def test_a_shared_link_that_names_its_file_needs_no_script(server: FileServer, build: Callable[..., Bench]) -> None:
    server.handle("/index.php", lambda request: Answer(body=FILE if "f_42" in request.query else b""))
    bench = build(Box)
    url = server.page("/s/s4ared/file/42", "<html></html>")
    assert bench.downloader.fetch([url], bench.target).sha256 == hashes(FILE)[1]


# --- freespacemods.net --------------------------------------------------------------------------------

VIEW = """<html><body><table class="fborder"><tr><td>Download</td><td>
<a href="request.php?592"><img src="e107_images/generic/download.png" alt="Download"></a></td></tr></table>
</body></html>"""
REQUEST = """<html><body><form method="post" action="request.php?592">
<input type="hidden" name="rand_num" value="1357"><img src="e107_images/secimg.php?1357" alt="">
<input class="tbox" type="text" name="code_verify" size="15" maxlength="20">
<input class="button" type="submit" name="submit" value="Download"></form></body></html>"""


@pytest.mark.parametrize("start", ["/download.php?view.592", "/request.php?592"])
@pytest.mark.parametrize("redirect", [False, True])
def test_freespacemods_asks_for_a_code_and_gives_the_file(
    server: FileServer, build: Callable[..., Bench], start: str, redirect: bool
) -> None:
    def request(asked: Request) -> Answer:
        assert asked.query == "592"
        if asked.method == "POST" and asked.form["code_verify"] == "k7" and asked.form["rand_num"] == "1357":
            return Answer(303, {"Location": "/files/mod.7z"}) if redirect else Answer(200, {}, FILE)
        return Answer(200, HTML, REQUEST.encode())

    server.page("/download.php", VIEW)
    server.handle("/request.php", request)
    server.file("/e107_images/secimg.php", PICTURE, content_type="image/png")
    server.file("/files/mod.7z", FILE)
    bench = build(FreeSpaceMods)
    bench.reporter.answers = ["no", "k7"]
    found = bench.downloader.fetch([server.url(start)], bench.target)
    assert found.sha256 == hashes(FILE)[1]
    assert bench.reporter.questions[0]["image"] == server.url("/e107_images/secimg.php?1357")


def test_freespacemods_without_a_captcha_needs_no_question(server: FileServer, build: Callable[..., Bench]) -> None:
    server.page("/download.php", VIEW)
    server.file("/request.php", FILE)
    bench = build(FreeSpaceMods)
    assert bench.downloader.fetch([server.url("/download.php?view.592")], bench.target).size == len(FILE)
    assert bench.reporter.questions == []


@pytest.mark.parametrize("page", ["<html>Not found</html>", '<a href="request.php?592">again</a>'])
def test_freespacemods_pages_that_lead_nowhere_end(server: FileServer, build: Callable[..., Bench], page: str) -> None:
    server.page("/download.php", VIEW)
    server.page("/request.php", page)
    bench = build(FreeSpaceMods)
    with pytest.raises(DownloadFailed, match="no download link"):
        bench.downloader.fetch([server.url("/download.php?view.592")], bench.target)


def test_pages_that_lead_in_a_circle_end(server: FileServer, build: Callable[..., Bench]) -> None:
    server.handle(
        "/request.php",
        lambda asked: Answer(200, HTML, f'<a href="request.php?{int(asked.query) + 1}">'.encode()),
    )
    bench = build(FreeSpaceMods)
    with pytest.raises(DownloadFailed, match="in a circle"):
        bench.downloader.fetch([server.url("/request.php?1")], bench.target)


# --- which links are pages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "page"),
    [
        ("https://www.mediafire.com/file/abc123/mod.7z/file", True),
        ("http://mediafire.com/?abc123", True),
        ("HTTPS://WWW.MediaFire.com/download/abc", True),
        ("https://download1523.mediafire.com/xyz/abc/mod.7z", False),
        ("https://mediafire.com.example.org/file/abc", False),
        ("https://app.box.com/s/abcdef0123456789", True),
        ("https://studio.app.box.com/s/abcdef/file/42", True),
        ("https://app.box.com/shared/static/abcdef.7z", False),
        ("https://app.box.com/index.php?rm=box_download_shared_file&shared_name=a&file_id=f_1", False),
        ("https://dropbox.com/s/abcdef", False),
        ("http://www.freespacemods.net/download.php?view.592", True),
        ("http://freespacemods.net/request.php?592", True),
        ("http://www.freespacemods.net/files/mod.7z", False),
        ("https://example.org/download.php?view.592", False),
        ("https://[broken", False),
        ("", False),
    ],
)
def test_pages_of_hosters_are_told_from_direct_links(url: str, page: bool) -> None:
    assert is_hoster_page(url) is page
