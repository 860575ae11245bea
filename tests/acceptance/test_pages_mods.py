"""The pages of mods, logs and accounts in a real browser: a player's way, a modder's token, a phone, no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from knossos.database import Database
from knossos.publishing.publisher import Publisher
from tests.support.browser import Visit, accessible, sideways
from tests.support.mod_scenes import publish_mods
from tests.support.redis_server import RedisServer
from tests.support.site import PASSWORD, Site

pytestmark = pytest.mark.xdist_group("pages of mods")

#: What is looked at for everyone: the page, and what has to be there.
PAGES = {
    "/": "New and updated",
    "/mods": "8 mods",
    "/mods/starlit-passage": "Voice acting",
    "/mods/starlit-passage/1.1.0": "This version was withdrawn",
    "/register": "Nobody else sees it",
    "/account": "Tokens for programs",
    "/audit": "Who did what",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with Site(folder, redis_server.url, sockets=False) as started:
        database = Database(started.settings)
        publish_mods(Publisher(started.settings, database, started.engine), folder)
        database.close()
        yield started


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    started = Visit(browser, site.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    yield started
    started.close()
    assert started.troubles == []


def log_in(page: Page, name: str, target: str = "/") -> None:
    page.goto(f"/login?next={target}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.locator("summary", has_text=name)).to_be_visible()


def add_log(site: Site) -> str:
    database = Database(site.settings)
    lines = [f"loading ship-{number}.pof" for number in range(200)]
    lines[150] = "ERROR: assertion failed"
    log_id = Publisher(site.settings, database, site.engine).logs.add("\n".join(lines))
    database.close()
    return f"/log/{log_id}"


def test_a_player_finds_a_mod_and_looks_into_it(visit: Visit) -> None:
    page = visit.page
    page.goto("/")
    page.get_by_label("Title or id of a mod").fill("starlit")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("1 mod found")).to_be_visible()
    page.get_by_label("Type").select_option("Engine")  # the form is sent by itself
    expect(page.get_by_text("No mod passes these filters.")).to_be_visible()
    page.get_by_label("Type").select_option("All types")
    page.get_by_role("link", name="Starlit Passage").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Starlit Passage")
    assert page.locator(".mod-head img").evaluate("image => image.naturalWidth") == 150
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the SHA-256 of starlit-passage-core-1.2.0.7z").click()
    assert re.fullmatch(r"[0-9a-f]{64}", page.evaluate("navigator.clipboard.readText()"))
    page.get_by_text("5,000 installed files").click()
    page.get_by_label("Find a file").fill("ada/line-1234")
    expect(page.get_by_text("1 file found")).to_be_visible()
    expect(page.get_by_text("data/voice/ada/line-1234.ogg")).to_be_visible()
    page.get_by_label("Find a file").fill("")
    for folder in ("data/", "voice/", "ben/"):
        page.locator("summary", has_text=folder).click()
    expect(page.locator(".tree-file")).to_have_count(2500)
    page.get_by_role("link", name="MediaVPs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("MediaVPs")


def test_a_modder_makes_a_token_with_the_keyboard_and_revokes_it(visit: Visit) -> None:
    page = visit.page
    log_in(page, "dora")
    page.locator("summary", has_text="dora").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Account")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Account")).to_be_hidden()
    expect(page.locator("summary", has_text="dora")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_label("What it is for").fill("Nightly builds")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("heading", name="Your new token")).to_be_visible()
    page.get_by_role("button", name="Revoke Nightly builds").click()
    expect(page.get_by_text("The token is revoked.")).to_be_visible()
    expect(page.get_by_text("Nightly builds")).to_have_count(0)


def test_a_line_of_a_log_can_be_linked_to(visit: Visit, site: Site) -> None:
    page = visit.page
    page.goto(add_log(site))
    page.get_by_role("link", name="line 151").click()
    line = page.locator("#L151")
    expect(line).to_have_attribute("data-level", "error")
    expect(line).to_be_in_viewport()
    assert page.url.endswith("#L151")


@pytest.mark.slow
def test_everyone_can_use_these_pages_in_light_and_dark(visit: Visit, site: Site) -> None:
    page = visit.page
    log_in(page, "olga")
    for path, text in {**PAGES, add_log(site): "Look here first"}.items():
        page.emulate_media(color_scheme="light")
        page.goto(path)
        expect(page.get_by_text(text).first).to_be_visible()
        page.locator("summary", has_text="olga").click()
        accessible(page)
        page.emulate_media(color_scheme="dark")
        expect(page.locator("html[data-bs-theme=dark]")).to_be_attached()
        accessible(page, "dark")


def test_these_pages_fit_a_small_phone_and_work_without_scripts(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site.url, viewport={"width": 360, "height": 740})
    log_in(visit.page, "olga")
    for path in [*PAGES, add_log(site)]:
        visit.page.goto(path)
        assert sideways(visit.page) == 0, path
    visit.close()
    plain = Visit(browser, site.url, java_script_enabled=False)
    log_in(plain.page, "dora", "/mods/starlit-passage")
    plain.page.get_by_text("Report a problem").click()
    plain.page.get_by_label("What is wrong with this version?").fill("The third mission ends at once.")
    plain.page.get_by_role("button", name="Send the report").click()
    expect(plain.page.get_by_text("Thank you.")).to_be_visible()
    plain.page.get_by_text("13 installed files").click()
    plain.page.get_by_role("link", name="The list as text").first.click()
    expect(plain.page.get_by_text("data/missions/starlit-passage-01.fs2")).to_be_visible()
    plain.close()
