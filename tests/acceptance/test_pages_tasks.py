"""/tasks in a real browser: live rows, filter, sorting, paging, and who sees what."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from knossos.accounts.access import owner_of_account
from tests.support import scenes
from tests.support.browser import Visit, sideways
from tests.support.redis_server import RedisServer
from tests.support.scenes import PlayedJob
from tests.support.site import PASSWORD, Site

pytestmark = pytest.mark.xdist_group("pages of tasks")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url, sockets=False) as started:
        yield started


@pytest.fixture(autouse=True)
def no_tasks(site: Site) -> None:
    site.engine.redis.flushall()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    started = Visit(browser, site.url, viewport={"width": 1280, "height": 900})
    yield started
    started.close()
    assert started.troubles == []


def open_as(visit: Visit, name: str) -> Page:
    page = visit.page
    page.goto("/login?next=/tasks")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Tasks")
    expect(page.locator("[data-feed]")).to_have_text("Live")
    return page


def titles(page: Page) -> list[str]:
    found: list[str] = page.locator("tbody tr th").all_text_contents()
    return found


def test_a_stranger_is_asked_to_log_in_and_nobody_sees_an_empty_table(visit: Visit) -> None:
    visit.page.goto("/tasks")
    expect(visit.page.get_by_role("main").get_by_role("link", name="Log in")).to_be_visible()
    page = open_as(visit, "dora")
    expect(page.get_by_text("There are no tasks yet.")).to_be_visible()
    expect(page.get_by_role("table")).to_be_hidden()


def test_tasks_come_and_change_by_themselves(visit: Visit, site: Site) -> None:
    page = open_as(visit, "olga")
    job = PlayedJob(site.engine, "Copper Tide 3.1")
    row = page.get_by_role("row", name="Copper Tide 3.1")
    expect(row).to_contain_text("Waiting")
    job.start().progress(0.5, "Reading copper.7z")
    expect(row).to_contain_text("Running")
    expect(row).to_contain_text("50 % Reading copper.7z")
    job.succeed({"mods": []})
    expect(row).to_contain_text("Done")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Copper Tide 3.1")
    expect(page.locator("[data-state]")).to_have_text("Done")


def test_a_failed_task_says_why_and_not_only_that(visit: Visit, site: Site) -> None:
    scenes.failed(site.engine)
    page = open_as(visit, "olga")
    stage = page.locator(".task-stage")
    expect(stage).to_have_text(re.compile(r"^compass\.7z: the server answers 404 \(there is no such file\)"))
    below = stage.evaluate(
        """node => {
          const reason = document.createRange();
          reason.setStart(node.firstChild, 0);
          reason.setEnd(node.firstChild, node.textContent.indexOf(")"));
          const [text, box] = [reason.getBoundingClientRect(), node.getBoundingClientRect()];
          return text.bottom - box.bottom > 1 || text.right - box.right > 1;
        }"""
    )
    assert below is False, "the reason is to be seen"


def test_an_account_sees_its_own_tasks_only(visit: Visit, site: Site) -> None:
    PlayedJob(site.engine, "Of somebody else 1.0")
    PlayedJob(site.engine, "My own 1.0", owner=owner_of_account("dora"))
    page = open_as(visit, "dora")
    expect(page.locator("tbody tr")).to_have_count(1)
    assert titles(page) == ["My own 1.0"]


def test_tasks_can_be_filtered(visit: Visit, site: Site) -> None:
    scenes.failed(site.engine)
    scenes.running(site.engine)
    PlayedJob(site.engine, "Quiet Orbit 1.0.0")
    page = open_as(visit, "olga")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_label("State").select_option("Failed")
    assert titles(page) == ["Broken Compass 2.0.0"]
    expect(page.locator("[data-count]")).to_have_text("1 of 3 tasks")
    page.get_by_label("Title or ticket").fill("orbit")
    expect(page.get_by_text("No task passes the filter.")).to_be_visible()
    page.get_by_label("State").select_option("All states")
    assert titles(page) == ["Quiet Orbit 1.0.0"]
    page.get_by_label("Title or ticket").fill("")
    page.get_by_label("Kind").select_option("conversion")
    expect(page.locator("tbody tr")).to_have_count(3)


def test_tasks_can_be_sorted_with_the_keyboard_and_turned_by_pages(visit: Visit, site: Site) -> None:
    for number in range(60):
        PlayedJob(site.engine, f"Mod {number:02}")
    page = open_as(visit, "olga")
    expect(page.locator("tbody tr")).to_have_count(25)
    assert titles(page)[0] == "Mod 59"
    head = page.get_by_role("button", name="Title")
    head.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("columnheader", name="Title")).to_have_attribute("aria-sort", "ascending")
    assert titles(page)[0] == "Mod 00"
    page.keyboard.press("Enter")
    assert titles(page)[0] == "Mod 59"
    page.get_by_role("button", name="Next").click()
    assert titles(page)[0] == "Mod 34"
    expect(page.get_by_text("Page 2 of 3")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    assert len(titles(page)) == 10
    expect(page.get_by_role("button", name="Next")).to_be_disabled()


def test_older_tasks_can_be_loaded(visit: Visit, site: Site) -> None:
    for number in range(260):
        PlayedJob(site.engine, f"Mod {number:03}")
    page = open_as(visit, "olga")
    expect(page.locator("[data-count]")).to_have_text("250 tasks")
    page.get_by_role("button", name="Load older tasks").click()
    expect(page.locator("[data-count]")).to_have_text("260 tasks")
    expect(page.get_by_role("button", name="Load older tasks")).to_be_hidden()


def test_a_server_that_is_gone_for_a_while_is_told_and_waited_for(visit: Visit, site: Site) -> None:
    page = open_as(visit, "olga")
    page.route("**/api/tasks", lambda route: route.abort())
    expect(page.locator("[data-feed]")).to_have_text("Connection lost, trying again")
    page.unroute("**/api/tasks")
    PlayedJob(site.engine, "Copper Tide 3.1")
    expect(page.get_by_role("row", name="Copper Tide 3.1")).to_be_visible()


def test_the_list_does_not_scroll_sideways_on_a_small_phone(browser: Browser, site: Site) -> None:
    scenes.failed(site.engine)
    scenes.running(site.engine)
    PlayedJob(site.engine, "A-title-without-any-place-to-break-the-line-that-is-much-too-long-for-a-phone 1.0.0")
    visit = Visit(browser, site.url, viewport={"width": 360, "height": 740})
    page = open_as(visit, "olga")
    expect(page.locator("tbody tr")).to_have_count(3)
    assert sideways(page) == 0
    visit.close()
