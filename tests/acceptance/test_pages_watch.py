"""/watch/<ticket> in a real browser, fed by the real WebSocket server: live, after a break, and without sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from knossos.jobs import FilePhase, FileProgress, JobState
from tests.support import scenes
from tests.support.browser import Visit, chromium, sideways
from tests.support.file_server import FileServer
from tests.support.processes import wait_for
from tests.support.redis_server import RedisServer
from tests.support.scenes import REPOSITORY, PlayedJob
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url) as started:
        yield started


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    started = Visit(browser, site.url, viewport={"width": 1280, "height": 900})
    yield started
    started.close()
    assert started.troubles == []


def watch(visit: Visit, job: PlayedJob) -> Page:
    visit.page.goto(f"/watch/{job.ticket}?token={job.token}")
    return visit.page


def lines(page: Page) -> list[str]:
    found: list[str] = page.locator(".log-line:not(.is-cut) .log-text").all_text_contents()
    return found


def live(page: Page) -> None:
    expect(page.locator("[data-feed]")).to_have_text("Live")


def test_what_happens_is_seen_as_it_happens(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine, "Starlit Passage 1.2.0")
    page = watch(visit, job)
    live(page)
    expect(page.locator("[data-state]")).to_have_text("Waiting")
    job.start()
    expect(page.locator("[data-state]")).to_have_text("Running")
    job.log("Packaging begins.")
    expect(page.get_by_text("Packaging begins.")).to_be_visible()
    job.progress(0.42, "Reading core.7z")
    bar = page.get_by_role("progressbar", name="The whole task")
    expect(bar).to_have_attribute("aria-valuenow", "42")
    expect(page.get_by_text("Reading core.7z", exact=True)).to_be_visible()
    expect(page).to_have_title(re.compile("^42 %"))
    job.files([FileProgress("core.7z", FilePhase.DOWNLOADING, 250_000_000, 1_000_000_000, 18_400_000, 95.0)])
    row = page.locator(".file-row")
    for text in ("core.7z", "Downloading", "250 MB of 1.00 GB", "18.4 MB/s, 1 min 35 s left"):
        expect(row).to_contain_text(text)
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "25")
    job.files([FileProgress("core.7z", FilePhase.DONE, 1_000_000_000, 1_000_000_000)])
    expect(row).to_contain_text("Done")
    job.succeed(REPOSITORY)
    expect(page.locator("[data-state]")).to_have_text("Done")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()


def test_a_late_visitor_sees_every_line_once_and_in_order(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine).start()
    for number in range(300):
        job.log(f"line {number}")
    page = watch(visit, job)
    expect(page.locator(".log-line")).to_have_count(300)
    for number in range(300, 600):
        job.log(f"line {number}")
    expect(page.locator(".log-line")).to_have_count(600)
    assert lines(page) == [f"line {number}" for number in range(600)]


def test_after_a_break_of_the_socket_nothing_is_missing_and_nothing_is_there_twice(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine).start()
    job.log("before")
    page = watch(visit, job)
    live(page)
    expect(page.get_by_text("before", exact=True)).to_be_visible()
    site.stop_sockets()
    try:
        job.log("during the break")
        expect(page.get_by_text("during the break")).to_be_visible()
        expect(page.locator("[data-feed]")).to_have_text("Updating every 2 s")
    finally:
        site.start_sockets()
    live_again = page.locator("[data-feed]")
    expect(live_again).to_have_text("Live")
    job.log("after")
    expect(page.get_by_text("after", exact=True)).to_be_visible()
    assert [line for line in lines(page) if line in ("before", "during the break", "after")] == [
        "before",
        "during the break",
        "after",
    ]


def test_without_any_websocket_the_page_asks_instead(visit: Visit, site: Site) -> None:
    visit.page.add_init_script("window.WebSocket = class { constructor() { throw new Error('blocked'); } };")
    job = scenes.running(site.engine)
    page = watch(visit, job)
    expect(page.get_by_text("4 files in 2 packages")).to_be_visible()
    expect(page.locator("[data-feed]")).to_have_text("Updating every 2 s")
    job.log("one more line")
    expect(page.get_by_text("one more line")).to_be_visible()
    job.succeed(REPOSITORY)
    expect(page.locator("[data-state]")).to_have_text("Done")
    assert len(lines(page)) == len(set(lines(page))) == len(scenes.LOG) + 1


def test_the_log_can_be_filtered_by_level_and_text(visit: Visit, site: Site) -> None:
    page = watch(visit, scenes.running(site.engine))
    expect(page.locator(".log-line:visible")).to_have_count(7)
    expect(page.locator("[data-count]")).to_have_text("7 of 9 lines")
    page.get_by_label("Lowest level").select_option("All levels")
    expect(page.locator(".log-line:visible")).to_have_count(9)
    page.get_by_label("Lowest level").select_option("Warnings and errors")
    expect(page.locator(".log-line:visible")).to_have_count(1)
    page.get_by_label("Lines with this text").fill("no such text")
    expect(page.get_by_text("No line passes the filter.")).to_be_visible()
    page.get_by_label("Lowest level").select_option("All levels")
    page.get_by_label("Lines with this text").fill("RESUMED")
    expect(page.locator(".log-line:visible")).to_have_count(1)


def test_ten_thousand_lines_are_all_there_and_the_log_follows_until_one_scrolls_up(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine).start()
    for number in range(10_000):
        job.log(f"line {number}: reading data/maps/texture-{number}.dds")
    page = watch(visit, job)
    expect(page.locator("[data-count]")).to_have_text("10,000 lines")
    log = page.get_by_role("log")
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    assert log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight") < 8
    expect(page.get_by_text("line 9999:")).to_be_in_viewport()
    log.hover()
    page.mouse.wheel(0, -2000)
    expect(follow).to_have_attribute("aria-pressed", "false")
    top = log.evaluate("log => log.scrollTop")
    job.log("the last line")
    expect(page.locator("[data-count]")).to_have_text("10,001 lines")
    assert log.evaluate("log => log.scrollTop") == top
    follow.click()
    expect(page.get_by_text("the last line")).to_be_in_viewport()


def test_where_the_log_was_cut_the_page_says_so(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine).start()
    for number in range(100):
        job.log(f"line {number}", max_lines=40)
    page = watch(visit, job)
    expect(page.locator(".log-line.is-cut")).to_have_text("60 lines were cut here: the log is too long")
    assert len(lines(page)) == 40


def test_markup_in_a_log_line_or_a_name_stays_text(visit: Visit, site: Site) -> None:
    evil = "<img src=x onerror=alert(1)><b>bold</b>"
    job = PlayedJob(site.engine, f"{evil} 1.0").start()
    job.log(evil)
    job.files([FileProgress(evil, FilePhase.WAITING)])
    page = watch(visit, job)
    expect(page.locator(".log-text")).to_have_text(evil)
    expect(page.locator(".file-name")).to_have_text(evil)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{evil} 1.0")
    assert page.locator("b").count() == 0


def test_a_hosters_question_is_answered_on_the_page(visit: Visit, site: Site) -> None:
    with FileServer() as hoster:
        hoster.file("/captcha.png", PICTURE)
        job = PlayedJob(site.engine).start()
        page = watch(visit, job)
        live(page)
        job.ask("question-1", hoster.url("/captcha.png"))
        picture = page.get_by_alt_text("The code as a picture")
        expect(picture).to_be_visible()
        wait_for(lambda: picture.evaluate("image => image.naturalWidth") == 1, "the picture")
        field = page.get_by_label("Letters in the picture")
        expect(field).to_be_focused()
        field.fill("x7k2")
        page.keyboard.press("Enter")
        expect(field).to_be_hidden()
        assert site.engine.redis.lrange(f"knossos:answer:{job.ticket}:question-1", 0, -1) == [b"x7k2"]
        job.take_back("question-1")
        job.ask("question-2", hoster.url("/captcha.png"))
        expect(field).to_be_visible()
        job.take_back("question-2")
        expect(field).to_be_hidden()


def test_a_task_is_cancelled_by_pressing_twice(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine)
    page = watch(visit, job)
    live(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Really cancel?").click()
    expect(page.locator("[data-state]")).to_have_text("Cancelled")
    expect(page.get_by_role("heading", name="This task was cancelled")).to_be_visible()
    assert site.engine.find(job.ticket).state is JobState.CANCELLED
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_lost_worker_is_told(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine).start()
    page = watch(visit, job)
    live(page)
    job.lose_worker()
    expect(page.locator("[data-state]")).to_have_text("Waiting")
    expect(page.locator(".log-line")).to_contain_text("The worker was lost")


def test_the_result_is_a_tree_and_a_file_to_download(visit: Visit, site: Site) -> None:
    page = watch(visit, scenes.succeeded(site.engine))
    expect(page.get_by_role("heading", name="Core")).to_be_visible()
    expect(page.get_by_text("starlit-core.vp")).to_be_visible()
    mission = page.get_by_text("starlit-02.fs2")
    expect(mission).to_be_hidden()
    first = page.locator(".result-package").first
    first.get_by_text("data/").click()
    first.get_by_text("missions/").click()
    expect(mission).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download JSON").click()
    assert download.value.suggested_filename == "Starlit-Passage-1.2.0.json"
    assert json.loads(download.value.path().read_text()) == REPOSITORY
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()


def test_a_failure_names_the_file_the_links_and_what_to_do(visit: Visit, site: Site) -> None:
    page = watch(visit, scenes.failed(site.engine))
    panel = page.locator("[data-failure]")
    for text in (
        "This could not be packaged",
        "all of its 2 links failed",
        "https://mirror.example.net/compass.7z",
        "Check that the links open",
    ):
        expect(panel).to_contain_text(text)


def test_a_task_that_is_removed_while_one_watches_is_told(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine)
    page = watch(visit, job)
    live(page)
    site.engine.forget(job.ticket)
    expect(page.locator("[data-feed]")).to_have_text(re.compile("Gone|Complete"))


def test_without_its_token_a_task_is_not_there(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine)
    visit.page.goto(f"/watch/{job.ticket}")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Not Found")


@pytest.mark.parametrize("scene", [scenes.running, scenes.succeeded, scenes.failed])
def test_the_page_does_not_scroll_sideways_on_a_small_phone(browser: Browser, site: Site, scene: object) -> None:
    assert callable(scene)
    visit = Visit(browser, site.url, viewport={"width": 360, "height": 740})
    page = watch(visit, scene(site.engine))
    expect(page.locator(".log-line").first).to_be_visible()
    expect(page.locator(".file-row").first).to_be_visible()
    for folder in page.locator("summary").all():
        folder.click()
    assert sideways(page) == 0
    visit.close()


#: A picture of one pixel.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
