"""Whether everyone can use the pages: axe finds nothing, every control has a name and can be reached by keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import scenes
from tests.support.browser import Visit, accessible, sideways
from tests.support.redis_server import RedisServer
from tests.support.site import API_KEY, PASSWORD, Site

pytestmark = pytest.mark.xdist_group("pages of access")

Show = Callable[[Page, Site], None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url) as started:
        yield started


def start(page: Page, site: Site) -> None:
    page.goto("/")


def login(page: Page, site: Site) -> None:
    page.goto("/login")
    page.fill("#name", "x")
    page.fill("#password", "wrong")
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def missing(page: Page, site: Site) -> None:
    page.goto("/nothing")


def converter(page: Page, site: Site) -> None:
    page.goto("/converter")
    page.get_by_label("Description (JSON)").fill('{"id": "x", "title": "X", "version": "no", "packages": 3}')
    page.get_by_label("API key").fill(API_KEY)
    page.get_by_role("button", name="Package this mod").click()
    expect(page.get_by_role("alert")).to_be_visible()


def tasks(page: Page, site: Site) -> None:
    scenes.failed(site.engine)
    scenes.running(site.engine)
    page.goto("/login?next=/tasks")
    page.fill("#name", "olga")
    page.fill("#password", PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.locator("tbody tr").first).to_be_visible()


def operation(page: Page, site: Site) -> None:
    with site.engine.redis.pipeline() as pipeline:  # a failure as RQ lists it
        pipeline.zadd(
            site.engine.queue("default").failed_job_registry.key, {str(scenes.failed(site.engine).ticket): 4e9}
        )
        pipeline.execute()
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto("/login?next=/operator")
    page.fill("#name", "olga")
    page.fill("#password", PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Log in").click()
    expect(page.locator("[data-operator-feed][data-feed=live]")).to_be_visible()
    expect(page.get_by_role("button", name="Delete").first).to_be_visible()
    assert sideways(page) == 0


def watching(scene: Callable[..., scenes.PlayedJob], text: str) -> Show:
    def show(page: Page, site: Site) -> None:
        job = scene(site.engine)
        page.goto(f"/watch/{job.ticket}?token={job.token}")
        expect(page.get_by_text(text).first).to_be_visible()
        expect(page.locator(".log-line").first).to_be_visible()

    return show


PAGES: dict[str, Show] = {
    "start": start,
    "login": login,
    "missing": missing,
    "converter": converter,
    "tasks": tasks,
    "operation": operation,
    "running": watching(scenes.running, "of 4 files"),
    "succeeded": watching(scenes.succeeded, "Voice acting"),
    "failed": watching(scenes.failed, "could not be downloaded"),
    "asking": watching(lambda engine: scenes.asking(engine, "http://127.0.0.1:9/none.png"), "asks for a code"),
}


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(PAGES))
def test_axe_finds_nothing_to_object_to(browser: Browser, site: Site, name: str, scheme: str) -> None:
    visit = Visit(browser, site.url, color_scheme=scheme, reduced_motion="reduce")
    PAGES[name](visit.page, site)
    accessible(visit.page, scheme)
    visit.close()


@pytest.mark.parametrize("name", ["converter", "tasks", "running"])
def test_every_control_is_reached_by_keyboard_and_shows_that_it_has_the_focus(
    browser: Browser, site: Site, name: str
) -> None:
    visit = Visit(browser, site.url, reduced_motion="reduce")
    page = visit.page
    PAGES[name](page, site)
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    wanted = page.locator("a[href]:visible, button:enabled:visible, input:visible, select:visible, textarea:visible")
    missed = set(wanted.evaluate_all("nodes => nodes.map(node => node.outerHTML.slice(0, 200))"))
    page.keyboard.press("Tab")
    for _ in range(2 * len(missed)):
        text, outline = page.evaluate(
            """() => {
              const node = document.activeElement;
              const shown = node.closest(".file-button, .editor") ?? node;
              return [node.outerHTML.slice(0, 200), getComputedStyle(shown).outlineStyle];
            }"""
        )
        if text in missed:
            assert outline != "none", f"no visible focus: {text}"
        missed.discard(text)
        page.keyboard.press("Escape")
        page.keyboard.press("Tab")
    assert missed == set()
    visit.close()
