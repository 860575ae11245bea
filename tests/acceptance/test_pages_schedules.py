"""Schedules in a real browser: the next times while one types, forms that are filled in first, deleting asks again."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Visit, accessible, sideways
from tests.support.redis_server import RedisServer
from tests.support.script_scenes import write_script
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("pages of schedules")

PHONE = {"width": 360, "height": 740}
FORM = {"fields": [{"type": "text", "name": "title", "label": "Title", "required": True}]}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    write_script(folder / "bin", "plain.py", "print(1)\n")
    write_script(folder / "bin", "titled.py", "print(2)\n", title="Title it", form=FORM)
    with Site(
        folder,
        redis_server.url,
        sockets=False,
        server_side_scripting_bin_dirs=(str(folder / "bin"),),
        command="sh",
        calculation_command=("true",),
        calculation_open=True,
    ) as started:
        yield started


def visit_as_olga(browser: Browser, site: Site, **options: object) -> Visit:
    visit = Visit(browser, site.url, reduced_motion="reduce", viewport=PHONE, timezone_id="Europe/Berlin", **options)
    visit.log_in("olga", "/schedules")
    return visit


def fine(page: Page) -> None:
    accessible(page)
    assert sideways(page) == 0


def test_a_schedule_is_made_watched_and_deleted_on_a_phone(browser: Browser, site: Site) -> None:
    visit = visit_as_olga(browser, site)
    page = visit.page
    expect(page.get_by_text("Nothing is scheduled yet.")).to_be_visible()
    page.get_by_role("link", name="New schedule").click()
    # The zone is the browser's, and the times come as one types.
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Berlin")
    cron, preview = page.get_by_label("Cron expression"), page.get_by_role("status")
    cron.fill("30 2 * * 1-5")
    expect(preview).to_contain_text("Monday to Friday at 02:30")
    expect(preview.locator("li")).to_have_count(5)
    cron.fill("0 0 30 2 *")
    expect(preview).to_contain_text("it never comes")
    cron.fill("61 * * * *")
    expect(preview).to_contain_text("this is no cron expression")
    page.get_by_label("Time zone").fill("Mars/Base")
    cron.fill("0 9 * * *")
    expect(preview).to_contain_text("expected the name of a time zone")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    # Only what belongs to the choice is shown.
    page.get_by_label("Kind").select_option("calculation")
    expect(page.get_by_label("Input", exact=True)).to_be_visible()
    expect(page.get_by_label("Script", exact=True)).to_be_hidden()
    fine(page)
    page.get_by_label("Kind").select_option("script")
    page.get_by_label("Script", exact=True).select_option("plain.py")
    page.get_by_label("Arguments").fill("one\ntwo")
    page.get_by_label("Tell me").select_option("never")
    expect(page.get_by_label("Webhook")).to_be_hidden()
    page.get_by_label("Tell me").select_option("failure")
    page.get_by_role("button", name="Make the schedule").click()
    expect(page.get_by_role("alert")).to_contain_text("One field is to be put right:")
    fine(page)
    page.get_by_label("Webhook").fill("http://127.0.0.1:9/hook")
    page.get_by_role("button", name="Make the schedule").click()
    page.wait_for_url(re.compile("/schedules/[0-9a-f-]{36}"))
    expect(page.get_by_label("Arguments")).to_have_value("one\ntwo")
    fine(page)
    page.goto("/schedules")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/runs/*")
    # The run waits, and one asks on its page to be told of its end.
    page.get_by_label("When", exact=True).select_option("end")
    page.get_by_label("Webhook").fill("http://127.0.0.1:9/hook")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("When", exact=True)).to_have_value("end")
    fine(page)
    page.goto("/schedules")
    fine(page)
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Really delete?")).to_be_visible()
    page.get_by_role("button", name="Really delete?").click()
    expect(page.get_by_text("Nothing is scheduled yet.")).to_be_visible()
    visit.close()
    assert visit.troubles == []


def test_a_script_with_a_form_is_filled_in_on_its_page_and_scheduled_from_there(browser: Browser, site: Site) -> None:
    visit = visit_as_olga(browser, site, color_scheme="dark")
    page = visit.page
    page.goto("/schedules/new")
    page.get_by_label("Script", exact=True).select_option("titled.py")
    expect(page.get_by_label("Arguments")).to_be_hidden()
    page.get_by_role("link", name="Fill it in").click()
    page.get_by_role("button", name="Schedule").click()
    expect(page.locator("[data-error]")).to_have_text("Fill this in.")
    page.get_by_label("Title").fill("Deep water")
    page.get_by_text("Tell me when it ends").click()
    fine(page)
    page.get_by_role("button", name="Schedule").click()
    expect(page.get_by_role("definition")).to_have_text("Deep water")
    page.get_by_label("Cron expression").fill("@daily")
    expect(page.get_by_role("status").locator("li")).to_have_count(5)
    page.get_by_label("Tell me").select_option("never")
    fine(page)
    page.get_by_role("button", name="Make the schedule").click()
    page.wait_for_url(re.compile("/schedules/[0-9a-f-]{36}"))
    expect(page.get_by_role("definition")).to_have_text("Deep water")
    visit.close()
    assert visit.troubles == []
