"""The owner's pages in a real browser: a mod from its creation to the version that players install, and its team."""

from __future__ import annotations

import json
import re
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import Visit, accessible, sideways
from tests.support.file_server import FileServer
from tests.support.processes import worker_process
from tests.support.redis_server import RedisServer
from tests.support.site import PASSWORD, Site

pytestmark = pytest.mark.xdist_group("pages of publish")

PART_BYTES = 10_485_760


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Site(folder, redis_server.url, sockets=False) as started:
        worker = worker_process(folder / "worker.log", folder / "settings.py")
        yield started
        worker.stop()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    started = Visit(browser, site.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    started.page.goto("/login?next=/publish")
    started.page.get_by_label("Name").fill("dora")
    started.page.get_by_label("Password").fill(PASSWORD)
    started.page.get_by_role("main").get_by_role("button", name="Log in").click()
    yield started
    started.close()
    assert started.troubles == []


def make_mod(page: Page, title: str, mod_id: str) -> None:
    page.goto("/publish")
    summary = page.locator("summary", has_text="Make a new mod")
    if not page.get_by_label("Title").is_visible():
        summary.click()
    page.get_by_label("Title").fill(title)
    page.get_by_label("Id", exact=True).fill(f"no/{mod_id}")
    page.get_by_role("button", name="Make the mod").click()
    expect(page.get_by_label("Id", exact=True)).to_have_accessible_description(re.compile("expected an id"))
    page.get_by_label("Id", exact=True).fill(mod_id)
    page.get_by_role("button", name="Make the mod").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def archive(folder: Path, name: str, padding: int = 0) -> Path:
    with zipfile.ZipFile(folder / name, "w") as file:
        file.writestr("mod.ini", "[launcher]\nmodname = Test\n")
        file.writestr("data/tables/ships.tbl", "#Ship Classes\n")
        if padding:
            file.writestr("data/noise.bin", bytes(padding))
    return folder / name


def repository(site: Site) -> list[dict[str, str]]:
    with urllib.request.urlopen(f"{site.url}/storage/repo_minimal.json", timeout=10) as answer:
        mods: list[dict[str, str]] = json.loads(answer.read())["mods"]
        return mods


def test_a_mod_goes_from_nothing_to_the_repository(visit: Visit, site: Site, tmp_path: Path) -> None:
    page = visit.page
    make_mod(page, "Long Way Home", "LongWayHome")
    page.get_by_role("link", name="Publish the first version").click()
    page.wait_for_url("**/publish/LongWayHome/release")  # with its scripts
    Image.new("RGB", (150, 225), (40, 80, 160)).save(tmp_path / "tile.png")
    page.get_by_label("Tile").set_input_files(tmp_path / "tile.png")
    expect(page.locator("[data-picture=tile] img")).to_be_visible()
    page.locator("[data-choose]").set_input_files(archive(tmp_path, "core.zip"))
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()
    page.locator("[data-path=version]").fill("1.0")
    for _ in range(2):
        page.get_by_role("button", name="Add a mod that it needs").click()
    needed = page.get_by_label("Mod", exact=True).last
    needed.fill("NoSuchMod")
    needed.press("Enter")  # publishes nothing
    page.get_by_role("button", name="Publish").click()
    report = page.locator("[data-report]")
    expect(report).to_contain_text("three integers")
    version = page.locator("[data-path=version]")
    expect(version).to_have_accessible_description(re.compile("three integers"))
    version.fill("1.0.0")
    expect(version).not_to_have_attribute("aria-invalid", "true")
    page.get_by_role("button", name="Only check it").click()
    expect(report).to_contain_text('there is no mod "NoSuchMod"')
    assert repository(site) == []
    report.get_by_role("button", name="Core, Mod").click()
    # The empty row before it is not sent, and not counted.
    expect(needed).to_be_focused()
    page.locator("[data-remove-row]").last.click()
    # What was written is there again after the page was left.
    page.reload()
    expect(page.get_by_text("This is what you had begun here.")).to_be_visible()
    expect(page.get_by_text("core.zip")).to_be_visible()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("1.0.0 is published.")).to_be_visible()
    expect(page.get_by_role("link", name="1.0.0", exact=True)).to_be_visible()
    page.get_by_role("link", name="See its page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Long Way Home")
    expect(page.get_by_text("2 installed files")).to_be_visible()
    assert [(mod["id"], mod["version"]) for mod in repository(site)] == [("LongWayHome", "1.0.0")]
    # In lists the mod has the picture of its release, having none of its own.
    page.goto("/publish")
    expect(page.locator(".mod-card", has_text="Long Way Home").locator("img")).to_be_visible()


def test_an_upload_goes_on_where_the_line_broke(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    make_mod(page, "Broken Line", "BrokenLine")
    page.goto("/publish/BrokenLine/release")
    sent: list[bytes] = []

    def break_the_second(route: Route) -> None:
        sent.append(b"")
        if len(sent) == 2:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/multiupload/part", break_the_second)
    big = archive(tmp_path, "big.zip", padding=3 * PART_BYTES)
    page.locator("[data-choose]").set_input_files(big)
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()
    assert len(sent) == 5  # four parts, one of them twice
    # The same file chosen again is not sent again.
    page.get_by_role("button", name="Remove big.zip").click()
    page.locator("[data-choose]").set_input_files(big)
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()
    assert len(sent) == 5


DROP = """(node) => {
  const files = new DataTransfer();
  files.items.add(new File(["text"], "dropped.txt"));
  return !node.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
}"""


def test_no_work_is_lost_by_leaving_dropping_beside_or_a_login_that_ended(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    make_mod(page, "Careful", "Careful")
    page.goto("/publish/Careful/release")
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator("[data-report]")).to_contain_text("There is nothing in it yet.")
    page.locator("[data-path=version]").fill("1.0.0")
    page.route("**/multiupload/part", lambda route: None)  # never gets through
    small = archive(tmp_path, "slow.zip")
    page.locator("[data-choose]").set_input_files(small)
    page.get_by_text("Uploading").wait_for()
    # The browser would open a file that is dropped beside its place.
    assert page.locator("body").evaluate(DROP)
    expect(page.get_by_text("dropped.txt")).to_have_count(0)
    page.once("dialog", lambda dialog: dialog.accept())
    page.goto("/publish/Careful/release")
    expect(page.get_by_text("It had not arrived when this page was left.")).to_be_visible()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.locator("[data-report]")).to_contain_text("Some archives have not arrived.")
    page.unroute_all()
    page.locator("[data-choose]").set_input_files(small)
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()
    assert page.locator("[data-package]").evaluate(DROP)
    expect(page.get_by_text("Stored", exact=True)).to_have_count(2)
    expect(page.locator("[data-files] > li")).to_have_count(2)
    cookies = visit.context.cookies()
    visit.context.clear_cookies()
    page.get_by_role("button", name="Only check it").click()
    expect(page.locator("[data-report]").get_by_role("link", name="Log in")).to_be_visible()
    visit.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.get_by_role("button", name="Only check it").click()
    expect(page.locator("[data-report]")).to_contain_text("It can be published.")
    # The first press only asks.
    page.get_by_role("button", name="Remove the package").click()
    expect(page.get_by_role("button", name="Really remove it?")).to_be_visible()
    expect(page.get_by_text("slow.zip")).to_be_visible()


def test_a_version_is_changed_yanked_and_deleted_and_the_team_grows(visit: Visit, site: Site, tmp_path: Path) -> None:
    page = visit.page
    make_mod(page, "Short Story", "ShortStory")
    page.goto("/publish/ShortStory/release")
    page.locator("[data-path=version]").fill("2.0.0")
    page.locator("[data-choose]").set_input_files(archive(tmp_path, "story.zip"))
    expect(page.get_by_text("Stored", exact=True)).to_be_visible()
    page.get_by_role("button", name="Publish", exact=True).click()
    page.get_by_role("link", name="Change what is said of 2.0.0").click()
    page.get_by_label("Description").fill("It is short.")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("What is said of 2.0.0 is changed.")).to_be_visible()
    page.get_by_role("button", name="Yank 2.0.0").click()
    page.get_by_label("Why").fill("It ends too soon")
    page.get_by_role("button", name="Yank it").click()
    expect(page.get_by_text("It ends too soon")).to_be_visible()
    page.get_by_role("button", name="Offer 2.0.0 again").click()
    page.get_by_role("button", name="Offer it").click()
    page.get_by_role("button", name="Delete 2.0.0").click()
    expect(page.get_by_role("button", name="Leave it")).to_be_focused()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_text("deleted", exact=True)).to_be_visible()
    page.get_by_role("button", name="Add somebody").click()
    page.get_by_label("Account").last.fill("nobody-here")
    page.get_by_role("button", name="Save the team").click()
    expect(page.get_by_role("alert").filter(has_text="nobody-here")).to_be_visible()
    page.get_by_label("Account").last.fill("olga")
    page.get_by_role("button", name="Save the team").click()
    expect(page.get_by_label("Role of olga")).to_have_value("20")
    page.get_by_text("Add a webhook").click()
    page.get_by_label("Address").fill("http://127.0.0.1:9/hook")
    page.get_by_role("button", name="Add the webhook").click()
    expect(page.get_by_text("it is not shown again")).to_be_visible()
    page.get_by_role("button", name="I have it").click()
    expect(page.get_by_text("http://127.0.0.1:9")).to_be_visible()


def test_what_was_converted_is_published_from_where_it_was_watched(visit: Visit, site: Site, tmp_path: Path) -> None:
    page = visit.page
    with FileServer() as files:
        files.file("/tiny.zip", archive(tmp_path, "tiny.zip").read_bytes())
        package = {"name": "Core", "files": [{"filename": "tiny.zip", "urls": [files.url("/tiny.zip")]}]}
        needs = {"dependencies": [{"id": "NoSuchMod", "version": None}]}
        for version, more in (("3.7.0", needs), ("3.7.1", {})):
            mod = {"id": "Converted", "title": "Tiny", "version": version, "packages": [{**package, **more}]}
            page.goto("/converter")
            page.get_by_label("Description (JSON)").fill(json.dumps(mod))
            page.get_by_role("button", name="Package this mod").click()
            page.get_by_role("button", name="Publish it").click()
            report = page.locator("[data-publish] [data-report]")
            if more:
                expect(report).to_contain_text('mods.0.packages.0.dependencies.0.id there is no mod "NoSuchMod"')
                expect(report).to_be_focused()
    expect(report).to_contain_text("It is published.")
    stranger = visit.context.browser.new_page()  # type: ignore[union-attr]
    stranger.goto(page.url)
    expect(stranger.get_by_role("link", name="Log in").last).to_be_visible()
    expect(stranger.get_by_role("button", name="Publish it")).to_be_hidden()
    stranger.close()
    report.get_by_role("link", name="Converted 3.7.1").click()
    expect(page.get_by_text("2 installed files")).to_be_visible()
    page.get_by_role("link", name="Manage").click()
    expect(page.get_by_text("You are owner.")).to_be_visible()


@pytest.mark.parametrize("path", ["/publish", "/publish/LongWayHome", "/publish/LongWayHome/release"])
def test_the_pages_are_for_everyone(visit: Visit, path: str) -> None:
    page = visit.page
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(path)
        accessible(page, scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    assert sideways(page) == 0


def test_strangers_are_led_to_the_login_and_told_nothing(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site.url)
    visit.page.goto("/publish/LongWayHome")
    expect(visit.page).to_have_url(f"{site.url}/login?next=/publish/LongWayHome")
    visit.close()
