"""The home as a file manager in a real browser: uploads with their questions, by keyboard and by drag and drop, moving,
copying, renaming, deleting, downloads, and pictures that run nothing."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from knossos.accounts import Accounts
from knossos.database import Database
from knossos.homes import Homes
from tests.support.browser import Visit, accessible, sideways
from tests.support.redis_server import RedisServer
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("pages of scripts")

#: Drops a folder with a folder and a file in it, as a browser's own drag would: entries of a file system.
DROP = """async () => {
  const file = (name, text) => ({ isFile: true, name, file: (done) => done(new File([text], name)) });
  const folder = (name, inside) => ({
    isDirectory: true, name,
    createReader: () => { let some = inside; return { readEntries: (done) => { done(some); some = []; } }; },
  });
  const deep = folder("deep ü", [file("a #1.txt", "deep")]);
  const tree = folder("dropped", [folder("empty", []), deep, file("b.txt", "b")]);
  const event = new Event("drop", { bubbles: true, cancelable: true });
  event.dataTransfer = { types: ["Files"], files: [], items: [{ kind: "file", webkitGetAsEntry: () => tree }] };
  document.dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Site(folder, redis_server.url, sockets=False, home_quota_bytes=20_000_000) as started:
        yield started


@pytest.fixture
def home(site: Site) -> Path:
    database = Database(site.settings)
    dora = Accounts(database).find("dora")
    database.close()
    assert dora is not None
    with Homes(site.settings).open(dora.user_id) as opened:
        for name in os.listdir(Homes(site.settings).folder(dora.user_id)):
            opened.remove(name)
    return Homes(site.settings).folder(dora.user_id)


def visitor(browser: Browser, site: Site, width: int = 1280) -> Visit:
    viewport = {"width": width, "height": 800}
    visit = Visit(browser, site.url, reduced_motion="reduce", viewport=viewport, accept_downloads=True)
    visit.log_in("dora", "/home/")
    return visit


def look_well(page: Page) -> None:
    accessible(page)
    assert sideways(page) <= 0


def row(page: Page, name: str):  # type: ignore[no-untyped-def]
    return page.locator(f'[data-row][data-name="{name}"]')


def names(page: Page) -> list[str]:
    found: list[str] = page.evaluate("[...document.querySelectorAll('[data-row]')].map((row) => row.dataset.name)")
    return found


def test_files_are_uploaded_with_a_question_where_they_would_replace_one(
    browser: Browser, site: Site, home: Path, tmp_path: Path
) -> None:
    visit = visitor(browser, site)
    page = visit.page
    large = tmp_path / "large"
    large.write_bytes(b"x" * 30_000_000)
    expect(page.get_by_text("Your home is empty.")).to_be_visible()
    (home / "a.txt").write_text("old")
    (home / "b.txt").write_text("old")
    files = [{"name": name, "mimeType": "text/plain", "buffer": b"new"} for name in ("a.txt", "b.txt", "c.txt")]
    page.set_input_files("[data-choose-files]", files)
    expect(page.locator("[data-uploads-title]")).to_have_text("1 of 3 files uploaded, 2 questions")
    look_well(page)
    page.get_by_role("button", name="Replace: a.txt").click()
    page.get_by_role("button", name="Skip: b.txt").click()
    expect(page.locator("[data-uploads-title]")).to_have_text("2 of 3 files uploaded")
    expect(row(page, "c.txt")).to_be_visible()
    assert [(home / name).read_text() for name in ("a.txt", "b.txt", "c.txt")] == ["new", "old", "new"]
    # What does not fit is said in words, and nothing of it is sent.
    page.set_input_files("[data-choose-files]", large)
    expect(page.locator(".home-upload-said")).to_contain_text("It does not fit: it has 30.0 MB")
    expect(page.locator("[data-room-text]")).to_contain_text("of 20.0 MB used")
    page.evaluate(DROP)
    expect(page.locator("[data-uploads-title]")).to_have_text("2 of 2 files uploaded")
    assert (home / "dropped" / "deep ü" / "a #1.txt").read_text() == "deep"
    assert (home / "dropped" / "b.txt").read_text() == "b"
    assert (home / "dropped" / "empty").is_dir()
    expect(row(page, "dropped")).to_be_visible()
    visit.leave()


def test_an_upload_is_cancelled_and_leaves_nothing(browser: Browser, site: Site, home: Path, tmp_path: Path) -> None:
    visit = visitor(browser, site)
    page = visit.page
    slow = tmp_path / "slow"
    slow.write_bytes(b"x" * 10_000_000)
    # As slow as a bad line.
    session = visit.context.new_cdp_session(page)
    session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 100_000},
    )
    page.set_input_files("[data-choose-files]", slow)
    expect(page.locator(".home-upload-said")).to_contain_text("%")
    page.get_by_role("button", name="Cancel: slow").click()
    expect(page.locator(".home-upload-said")).to_have_text("Cancelled")
    expect(page.locator("[data-uploads-title]")).to_have_text("0 of 1 file uploaded")
    assert os.listdir(home) == []
    visit.leave()


def test_uploads_whose_session_ended_are_sent_after_a_new_login(browser: Browser, site: Site, home: Path) -> None:
    visit = visitor(browser, site)
    page = visit.page
    cookies = visit.context.cookies()
    visit.context.clear_cookies()
    files = [{"name": name, "mimeType": "", "buffer": b"new"} for name in ("a", "b")]
    with page.expect_response(lambda response: "/login" in response.url):  # the list is asked for anew
        page.set_input_files("[data-choose-files]", files)
    expect(page.locator("[data-uploads-title]")).to_have_text("0 of 2 files uploaded, 2 failed")
    expect(page.locator(".home-upload-said").first).to_contain_text("You are not logged in any more.")
    visit.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.get_by_role("button", name="Try all again").click()
    expect(page.locator("[data-uploads-title]")).to_have_text("2 of 2 files uploaded")
    expect(row(page, "b")).to_be_visible()
    assert sorted(os.listdir(home)) == ["a", "b"]
    visit.leave()


def test_entries_are_renamed_moved_copied_and_deleted_by_keyboard(browser: Browser, site: Site, home: Path) -> None:
    (home / "results" / "old").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "c.txt"):
        (home / name).write_text(name)
    visit = visitor(browser, site)
    page = visit.page
    row(page, "results").locator(".home-name a").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="a.txt", exact=True)).to_be_focused()
    page.keyboard.press("F2")
    page.keyboard.type("c")
    page.keyboard.press("Enter")
    expect(page.locator(".home-rename .form-error")).to_have_text("There is something called “c.txt” here already.")
    look_well(page)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("ä & b.txt")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="ä & b.txt", exact=True)).to_be_focused()
    assert sorted(os.listdir(home)) == ["b.txt", "c.txt", "results", "ä & b.txt"]
    # Two of them into a folder's folder.
    page.keyboard.press(" ")
    row(page, "b.txt").get_by_role("checkbox").check()
    expect(page.locator("[data-selected]")).to_contain_text("2 chosen")
    page.locator('[data-act="move"]').click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="results").press("Enter")
    dialog.get_by_role("button", name="old").press("Enter")
    look_well(page)
    dialog.get_by_role("button", name="Move here").press("Enter")
    expect(row(page, "b.txt")).to_have_count(0)
    assert sorted(os.listdir(home / "results" / "old")) == ["b.txt", "ä & b.txt"]
    # A copy beside what is copied.
    row(page, "c.txt").get_by_role("checkbox").check()
    page.locator('[data-act="copy"]').click()
    dialog.get_by_role("button", name="Copy here").click()
    expect(row(page, "c (2).txt")).to_be_visible()
    row(page, "c.txt").get_by_role("checkbox").uncheck()
    # Deleting asks on the same button.
    row(page, "results").locator(".home-name a").focus()
    page.keyboard.press("Delete")
    button = page.get_by_role("button", name="Really delete?")
    expect(button).to_be_focused()
    assert (home / "results").exists()
    button.press("Enter")
    expect(row(page, "results")).to_have_count(0)
    assert sorted(os.listdir(home)) == ["c (2).txt", "c.txt"]
    visit.leave()


def test_chosen_files_are_downloaded_and_a_picture_with_a_script_in_it_runs_nothing(
    browser: Browser, site: Site, home: Path, tmp_path: Path
) -> None:
    (home / "a").write_text("a")
    (home / "b").write_text("b")
    svg = "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='30'><script>alert(1)</script></svg>"
    (home / "x.svg").write_text(svg)
    visit = visitor(browser, site, width=360)
    page = visit.page
    look_well(page)
    for name in ("a", "b"):
        row(page, name).get_by_role("checkbox").check()
    with page.expect_download() as download:
        page.locator('[data-act="zip"]').click()
    download.value.save_as(tmp_path / "both.zip")
    assert zipfile.ZipFile(tmp_path / "both.zip").namelist() == ["a", "b"]
    page.goto("/home/x.svg")
    expect(page.get_by_role("img", name="x.svg")).to_be_visible()
    assert page.evaluate("document.querySelector('.home-picture img').naturalWidth") == 40
    look_well(page)
    page.get_by_role("button", name="Rename").click()
    page.keyboard.type("y")
    page.keyboard.press("Enter")
    page.wait_for_url("**/home/y.svg")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Really delete?").click()
    page.wait_for_url("**/home/")
    assert sorted(names(page)) == ["a", "b"]
    visit.leave()


def test_who_asks_for_a_folder_again_at_once_has_the_second_answer_heard(
    browser: Browser, site: Site, home: Path
) -> None:
    (home / "results").mkdir()
    (home / "a.txt").write_text("a")
    visit = visitor(browser, site)
    page = visit.page
    row(page, "a.txt").get_by_role("checkbox").check()
    page.locator('[data-act="move"]').click()
    # The event of the first closing comes when the second dialogue is open.
    page.evaluate("""() => {
      document.querySelector("dialog[open]").close();
      document.querySelector('[data-act="move"]').click();
    }""")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="results").click()
    dialog.get_by_role("button", name="Move here").click()
    expect(page.locator("[data-announce]")).to_have_text("Moved 1 entry to Home/results.")
    assert os.listdir(home / "results") == ["a.txt"]
    visit.leave()


#: Holds the first list that is fetched back until `window.release()` is called.
HOLD = """() => {
  const fetched = window.fetch, held = new Promise((resolve) => { window.release = resolve; });
  let first = true;
  window.fetch = async (...what) => {
    const answer = await fetched(...what);
    if (first && String(what[0]) === window.location.href) {
      first = false;
      document.body.dataset.holding = "";
      await held;
    }
    return answer;
  };
}"""


def test_a_list_that_comes_late_does_not_undo_a_newer_one(browser: Browser, site: Site, home: Path) -> None:
    visit = visitor(browser, site)
    page = visit.page
    page.evaluate(HOLD)
    for name in ("a.txt", "b.txt"):
        page.set_input_files("[data-choose-files]", {"name": name, "mimeType": "", "buffer": b"x"})
        expect(page.locator("body[data-holding]")).to_be_attached()
    # Both are there; the list that is held back was made when only the first was.
    expect(page.locator("[data-uploads]")).to_contain_text("b.txt")
    page.wait_for_timeout(1000)
    page.evaluate("window.release()")
    expect(row(page, "b.txt")).to_be_visible()
    page.wait_for_timeout(500)
    assert names(page) == ["a.txt", "b.txt"]
    visit.leave()
