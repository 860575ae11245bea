"""/watch/<ticket> in a real browser, fed by the real WebSocket server: live, after a break, and without sockets."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from knossos.jobs import FilePhase, FileProgress, JobFailure, JobState
from tests.support import scenes
from tests.support.browser import Visit, sideways
from tests.support.file_server import FileServer
from tests.support.processes import wait_for
from tests.support.redis_server import RedisServer
from tests.support.scenes import REPOSITORY, PlayedJob
from tests.support.site import API_KEY, Site

pytestmark = pytest.mark.xdist_group("pages of watch")


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


def test_a_small_screen_shows_the_whole_name_and_size_of_each_file(visit: Visit, site: Site) -> None:
    page = watch(visit, scenes.running(site.engine))
    page.set_viewport_size({"width": 360, "height": 740})
    rows = page.locator(".file-row")
    expect(rows).to_have_count(4)
    cut = "(nodes) => nodes.filter((node) => node.scrollWidth > node.clientWidth).map((node) => node.innerText)"
    assert page.locator(".file-name").evaluate_all(cut) == []
    lines = "(nodes) => nodes.map((node) => node.getClientRects().length && node.offsetHeight < 30)"
    assert all(page.locator(".file-amount:not(:empty)").evaluate_all(lines))
    assert sideways(page) == 0


def test_without_any_websocket_the_page_asks_instead(visit: Visit, site: Site) -> None:
    visit.page.add_init_script("window.WebSocket = class { constructor() { throw new Error('blocked'); } };")
    job = scenes.running(site.engine)
    page = watch(visit, job)
    expect(page.get_by_text("7z, 214 files")).to_be_visible()
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
    half = FileProgress("a.7z", FilePhase.DOWNLOADING, 500_000, 1_000_000, 250_000, 2)
    job.files([half])
    row = page.locator(".file-row")
    expect(row.locator(".file-rate")).to_have_text("250 kB/s, 2 s left")
    job.lose_worker()
    expect(page.locator("[data-state]")).to_have_text("Waiting")
    expect(page.locator(".log-line")).to_contain_text("The worker was lost")
    expect(row.locator(".file-phase")).to_have_text("Interrupted")
    expect(row.locator(".file-rate")).to_have_text("")
    spoken = page.locator("[data-announce]")
    expect(spoken).to_have_text("The worker was lost; another one starts.")
    job.start()
    expect(spoken).to_have_text("A worker has started this task.")
    job.progress(0.1, "Downloading a.7z")
    expect(spoken).to_have_text("10 %: Downloading a.7z")
    job.files([half])
    expect(row.locator(".file-phase")).to_have_text("Downloading")


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
        "compass.7z could not be downloaded from any of its 2 links.",
        "https://downloads.example.org/compass/compass.7z: the server answers 404",
        "https://mirror.example.net/compass.7z is refused",
        "the operator can allow it in ALLOWED_PRIVATE_NETWORKS",
        "Check that the links open",
    ):
        expect(panel).to_contain_text(text)
        assert panel.inner_text().count(text) == 1, text
    assert panel.inner_text().count("https://") == 2, "each link is named once"
    assert "Open the links" not in panel.inner_text(), "what to do is said once"


def test_after_a_failure_the_page_says_what_failed_and_nothing_says_complete(visit: Visit, site: Site) -> None:
    page = watch(visit, scenes.failed(site.engine))
    sentence = "compass.7z could not be downloaded from any of its 2 links."
    expect(page.locator("[data-stage]")).to_have_text(sentence)
    expect(page.locator("[data-percent]")).to_have_text("Failed")
    expect(page.locator("[data-feed]")).to_have_text("Ended")
    expect(page.locator("[data-summary]")).to_have_text("1 of 2 files done, 1 failed")
    row = page.locator(".file-row", has_text="compass.7z")
    expect(row.locator(".file-note")).to_have_text(sentence)
    colours = {
        page.locator(place).evaluate("node => getComputedStyle(node).color")
        for place in ("[data-stage]", "[data-percent]", "[data-failure-title]", "[data-phase=failed] .file-phase")
    }
    assert len(colours) == 1, "all in the colour of failures"
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")


def test_the_lines_of_a_message_stay_lines(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine).start()
    job.fail(JobFailure(code="files_clash", message="One thing.\nAnother thing."))
    page = watch(visit, job)
    message = page.locator("[data-failure-message]")
    expect(message).to_contain_text("Another thing.")
    assert message.inner_text() == "One thing.\nAnother thing."
    expect(page.locator(".log-line")).to_have_text("errorOne thing.")


def test_after_a_cancel_nothing_looks_alive_and_it_is_said_who_did_it(visit: Visit, site: Site) -> None:
    page = watch(visit, scenes.cancelled(site.engine))
    expect(page.locator("[data-stage]")).to_have_text("Cancelled by dora.")
    expect(page.locator("[data-percent]")).to_have_text("Cancelled")
    expect(page.locator("[data-feed]")).to_have_text("Ended")
    expect(page.locator(".file-phase")).to_have_text(["Stopped", "Not started"])
    expect(page.locator(".log-line")).to_have_text("warningCancelled by dora.")
    text = page.get_by_role("main").inner_text()
    for alive in ("Downloading", "left", "kB/s", "written yet", "Complete"):
        assert alive not in text, alive


def test_a_task_that_runs_and_has_said_nothing_yet_does_not_wait(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine)
    with scenes.free_worker(site.engine):
        page = watch(visit, job)
        live(page)
    stage = page.locator("[data-stage]")
    expect(stage).to_have_text("Waits for a free worker.")
    job.start()
    expect(stage).to_have_text("A worker has started this task.")
    page.reload()
    live(page)
    expect(stage).to_have_text("A worker has started this task.")


def test_a_time_of_less_than_a_second_is_not_called_none(visit: Visit) -> None:
    visit.page.goto("/")
    told = visit.page.evaluate(
        "import('/static/any/js/format.js').then(({ duration }) => [0, 0.9, 1, 61].map(duration))"
    )
    assert told == ["under 1 s", "under 1 s", "1 s", "1 min 01 s"]


def test_the_title_says_that_a_code_is_waited_for(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine, "Harbour Lights 0.9.1").start()
    page = watch(visit, job)
    live(page)
    job.progress(0.1, "Reading")
    expect(page).to_have_title(re.compile(r"^10 %"))
    job.ask("question-1", f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}")
    expect(page).to_have_title(re.compile("^Code needed"))
    job.progress(0.2, "Reading on")
    expect(page.locator("[data-percent]")).to_have_text("20 %")
    expect(page).to_have_title(re.compile("^Code needed"))
    job.take_back("question-1")
    expect(page).to_have_title(re.compile(r"^20 %"))


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_the_description_of_what_failed_can_be_edited_and_sent_again(visit: Visit, site: Site, end: str) -> None:
    text = '{\n   "id": "tiny", "title":"Tiny",\n   "version": "3.7", "packages": []}'
    form = {"passwd": API_KEY, "data": text}
    task = requests.post(f"{site.url}/api/converter/request", data=form, timeout=30).json()
    record = site.engine.find(task["ticket"])
    if end == "cancelled":
        site.engine.cancel(record.ticket, "Cancelled by dora.")
    else:
        site.engine.expire(record.ticket, "It waited for too long.")
    visit.page.goto(f"/watch/{record.ticket}?token={record.token}")
    visit.page.get_by_role("link", name="Edit and submit again").click()
    field = visit.page.get_by_label("Description (JSON)")
    expect(field).to_have_value(text)
    assert record.token not in visit.page.url
    field.fill(text.replace("3.7", "3.8"))
    visit.page.get_by_label("API key").fill(API_KEY)
    visit.page.get_by_role("button", name="Package this mod").click()
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Tiny 3.8")
    visit.page.go_back()
    expect(field).to_have_value(text.replace("3.7", "3.8"))


def test_a_task_that_runs_or_whose_result_is_there_offers_no_other_try(visit: Visit, site: Site) -> None:
    page = watch(visit, scenes.succeeded(site.engine))
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.get_by_role("link", name="Edit and submit again")).to_be_hidden()


def test_a_task_that_is_removed_while_one_watches_is_told(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine)
    page = watch(visit, job)
    live(page)
    site.engine.forget(job.ticket)
    expect(page.locator("[data-feed]")).to_have_text(re.compile("Gone|Ended"))


def test_without_its_token_a_task_is_not_there(visit: Visit, site: Site) -> None:
    job = PlayedJob(site.engine)
    visit.page.goto(f"/watch/{job.ticket}")
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("Not Found")


@pytest.mark.parametrize("scene", [scenes.running, scenes.succeeded, scenes.failed, scenes.cancelled])
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
