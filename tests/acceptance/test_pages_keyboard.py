"""The ways that matter, with a keyboard and nothing else: the focus is seen, and comes where one expects it."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from knossos.settings import ROOT
from tests.support.browser import Visit
from tests.support.keys import Keys
from tests.support.people import PASSWORD
from tests.support.processes import worker_process
from tests.support.redis_server import RedisServer
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("pages by keyboard")

TABLE = b"sample,value\na,1\na,3\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Site(
        folder,
        redis_server.url,
        command="sh",
        args=("-s",),
        server_side_scripting_bin_dirs=(str(ROOT / "examples/scripts"),),
        # What one converts here shall wait for its host until one has cancelled it.
        allowed_private_networks=("127.0.0.0/8", "192.0.2.0/24"),
    ) as started:
        worker = worker_process(folder / "worker.log", folder / "settings.py")
        try:
            yield started
        finally:
            worker.stop()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    started = Visit(browser, site.url, viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
    yield started
    started.leave()


def log_in(page: Page, name: str, to: str) -> Keys:
    keys = Keys(page)
    page.goto(f"/login?next={to}")
    keys.fill("Name", name)
    keys.fill("Password", PASSWORD)
    keys.press("Enter")
    page.wait_for_url(lambda url: "/login" not in url)
    return keys


def test_one_skips_the_menu_converts_a_mod_and_cancels_it(visit: Visit) -> None:
    page = visit.page
    keys = log_in(page, "olga", "/")
    keys.press("Tab")
    assert keys.at == "Skip to the content"
    keys.press("Enter")
    keys.press("Tab")
    assert keys.page.evaluate("Boolean(document.activeElement.closest('main'))")
    keys.to("Package a mod")
    keys.press("Enter")
    page.wait_for_url("**/converter")
    keys.to("Insert example")
    keys.press("Enter")
    keys.to("Package this mod")
    keys.press("Enter")
    page.wait_for_url("**/watch/*")
    expect(page.locator(".log-line").first).to_be_visible()
    keys.to("Cancel")
    keys.press("Enter")
    assert keys.at == "Really cancel?"
    keys.press("Enter")
    expect(page.get_by_role("heading", name="This task was cancelled")).to_be_visible()
    # The progress is told by a region of its own, and each line of the log is not.
    assert page.locator("[role=log]").first.get_attribute("aria-live") == "off"
    expect(page.locator("[role=status], [aria-live=polite]").first).to_be_attached()


def test_a_mod_is_made_and_released(visit: Visit) -> None:
    page = visit.page
    keys = log_in(page, "dora", "/publish")
    keys.fill("Title", "By Keys")
    keys.fill("Id", "ByKeys")
    keys.to("Make the mod")
    keys.press("Enter")
    page.wait_for_url("**/publish/ByKeys")
    keys.to("Publish the first version")
    keys.press("Enter")
    page.wait_for_url("**/publish/ByKeys/release")
    keys.fill("Version", "1.0.0")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("mod.ini", "[launcher]\nmodname = Test\n")
    keys.choose("Choose", {"name": "core.zip", "mimeType": "application/zip", "buffer": packed.getvalue()})
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()
    keys.to("Publish")
    keys.press("Enter")
    expect(page.get_by_text("1.0.0 is published.")).to_be_visible()


def test_a_script_with_a_form_is_filled_in_and_run(visit: Visit) -> None:
    page = visit.page
    keys = log_in(page, "olga", "/scripts")
    keys.to("Summarise a table")
    keys.press("Enter")
    page.wait_for_url("**/scripts/handle_csv.py")
    keys.to("Summarise")
    keys.press("Enter")
    # What is wrong is where the focus is.
    expect(page.locator("#f-title")).to_be_focused()
    keys.type("By keys")
    keys.choose("Table", {"name": "t.csv", "mimeType": "text/csv", "buffer": TABLE})
    keys.to("Summarise")
    keys.press("Enter")
    page.wait_for_url(re.compile("/(runs|watch)/"))
    expect(page.locator("[data-badge]")).to_have_text("Done")


def test_files_are_uploaded_renamed_moved_and_deleted(visit: Visit) -> None:
    page = visit.page
    keys = log_in(page, "dora", "/home/")
    keys.choose("Upload files", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"a"})
    expect(page.get_by_role("link", name="a.txt", exact=True)).to_be_visible()
    keys.to("New folder")
    keys.press("Enter")
    keys.to("Name of the new folder")
    keys.type("results")
    keys.press("Enter")
    expect(page.get_by_role("link", name="results", exact=True)).to_be_visible()
    keys.to("a.txt")
    keys.press("F2", "ControlOrMeta+a")
    keys.type("b.txt")
    keys.press("Enter")
    expect(page.get_by_role("link", name="b.txt", exact=True)).to_be_focused()
    keys.press(" ")
    keys.to("Move", back=True)
    keys.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    # Escape closes it, and the focus is where it came from.
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    assert keys.at == "Move"
    keys.press("Enter")
    keys.to("results")
    keys.press("Enter")
    expect(dialog.get_by_role("button", name="Move here")).to_be_enabled()
    keys.to("Move here")
    keys.press("Enter")
    expect(page.get_by_role("link", name="b.txt", exact=True)).to_have_count(0)
    keys.to("results")
    keys.press("Delete")
    expect(page.get_by_role("button", name="Really delete?")).to_be_focused()
    keys.press("Enter")
    expect(page.get_by_text("Your home is empty.")).to_be_visible()


def test_a_script_is_written_and_killed(visit: Visit) -> None:
    page = visit.page
    keys = log_in(page, "dora", "/jobs/new")
    keys.to("Script")
    keys.type("if true; then")
    keys.press("Enter", "Tab")
    keys.type("echo begun; sleep 600")
    keys.press("Enter")
    keys.type("fi")
    # Tab is text in here; Escape lets it out.
    keys.press("Escape", "Tab")
    assert keys.at != "Script"
    keys.to("Run this script")
    keys.press("Enter")
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-lines]").first).to_contain_text("begun")
    keys.to("Kill")
    keys.press("Enter")
    assert keys.at == "Really kill?"
    keys.press("Enter")
    expect(page.locator("[data-ending]")).to_have_text("Signal SIGKILL")


def test_a_schedule_is_made(visit: Visit) -> None:
    page = visit.page
    keys = log_in(page, "olga", "/schedules")
    keys.to("New schedule")
    keys.press("Enter")
    page.wait_for_url("**/schedules/new")
    keys.to("Kind")
    keys.type("A script in")
    keys.fill("Path in your home", "nothing.sh")
    keys.fill("Cron expression", "30 2 * * 1-5")
    expect(page.get_by_role("status")).to_contain_text("Monday to Friday at 02:30")
    keys.to("Make the schedule")
    keys.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("One field is to be put right:")
    # From what is wrong one comes to its field.
    keys.to("Path in your home")
    keys.press("Enter")
    expect(page.get_by_label("Path in your home")).to_be_focused()


def test_a_user_is_added(visit: Visit) -> None:
    page = visit.page
    keys = log_in(page, "olga", "/")
    keys.to("olga")
    keys.press("Enter")
    keys.to("Users")
    keys.press("Escape")
    assert keys.at == "olga"  # the menu is closed, and one is where one was
    keys.press("Enter")
    keys.to("Users")
    keys.press("Enter")
    page.wait_for_url("**/users")
    keys.to("Add a user")
    keys.press("Enter")
    page.wait_for_url("**/users/new")
    keys.fill("Name", "emil")
    keys.fill("Password", "another horse")
    keys.to("Add the user")
    keys.press("Enter")
    page.wait_for_url("**/users/emil*")
    expect(page.get_by_role("status")).to_contain_text("The account is made.")
