"""The page of the API in a real browser: requests from it, a phone, the dark, no scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from knossos.accounts import Accounts
from knossos.accounts.tokens import Tokens
from knossos.database import Database
from knossos.web.openapi import document
from tests.support.browser import Visit, accessible, sideways
from tests.support.redis_server import RedisServer
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("page of the API")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url, sockets=False) as started:
        yield started


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    started = Visit(browser, site.url, viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    yield started
    started.close()
    assert started.troubles == []


def opened(page: Page, name: str) -> Locator:
    page.goto(f"/api/docs#{name}")
    found = page.locator(f"#{name}")
    expect(found.get_by_role("button", name="Send")).to_be_visible()
    return found


def test_a_simple_request_is_tried_in_the_page(visit: Visit) -> None:
    info = opened(visit.page, "get_api_info")
    info.get_by_role("button", name="Send").click()
    expect(info.get_by_text(re.compile("^200 "))).to_be_visible()
    expect(info.get_by_label("The answer")).to_contain_text('"name": "Knossos"')


def test_forms_and_json_are_sent_with_the_token_that_was_typed(visit: Visit, site: Site) -> None:
    database = Database(site.settings)
    account = Accounts(database).find("dora")
    assert account is not None
    token = Tokens(site.settings, database).issue_login(account.user_id)
    database.close()
    make = opened(visit.page, "post_api_1_mod_create")
    send = make.get_by_role("button", name="Send")
    send.click()
    expect(make.get_by_text(re.compile("^403 "))).to_be_visible()
    visit.page.get_by_label("Token for the requests of this page").fill(token)
    make.get_by_label("JSON", exact=True).fill('{"id": "alpha", "title": "Alpha", "type": "tc", "parent": null}')
    send.click()
    expect(make.get_by_label("The answer")).to_contain_text('"result": true')
    check = visit.page.locator("#post_api_1_mod_check_id")
    check.locator("summary").click()
    check.get_by_label("id", exact=True).fill("alpha")
    check.get_by_role("button", name="Send").click()
    expect(check.get_by_label("The answer")).to_contain_text('"reason": "duplicated id"')


def test_what_is_typed_stays_in_its_place_of_the_address(visit: Visit) -> None:
    task = opened(visit.page, "get_api_tasks_ticket")
    task.get_by_label("ticket", exact=True).fill("1/../../info?x")
    task.get_by_label("token", exact=True).fill("a&b")
    with visit.page.expect_request("**/api/tasks/**") as asked:
        task.get_by_role("button", name="Send").click()
    assert asked.value.url.endswith("/api/tasks/1%2F..%2F..%2Finfo%3Fx?token=a%26b")
    expect(task.get_by_text(re.compile("^404 "))).to_be_visible()


def test_a_header_that_is_chosen_is_sent(visit: Visit) -> None:
    scripting = opened(visit.page, "post_scripting")
    scripting.get_by_label("Prefer", exact=True).select_option("respond-async")
    with visit.page.expect_request("**/scripting") as asked:
        scripting.get_by_role("button", name="Send").click()
    assert asked.value.headers["prefer"] == "respond-async"
    expect(scripting.get_by_label("The answer")).to_contain_text("<Response><Error ")


def test_a_curl_line_is_copied(visit: Visit) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    info = opened(visit.page, "get_api_info")
    info.get_by_role("button", name="Copy the curl line of GET /api/info").click()
    expect(info.get_by_text("Copied")).to_be_visible()
    assert visit.page.evaluate("navigator.clipboard.readText()") == f"curl {visit.base}/api/info"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_people_out_by_day_or_by_night(browser: Browser, site: Site, scheme: str) -> None:
    visit = Visit(browser, site.url, color_scheme=scheme, reduced_motion="reduce")
    for name in ("post_api_1_mod_webhooks_add", "post_api_1_mod_update", "post_drop_made_token_key"):
        opened(visit.page, name)
    accessible(visit.page, scheme)
    visit.close()
    assert visit.troubles == []


def test_on_a_phone_nothing_is_cut_off(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site.url, viewport={"width": 360, "height": 740})
    visit.page.goto("/api/docs")
    visit.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert sideways(visit.page) == 0
    visit.close()
    assert visit.troubles == []


def test_without_scripts_everything_is_listed(browser: Browser, site: Site) -> None:
    plain = Visit(browser, site.url, java_script_enabled=False)
    plain.page.goto("/api/docs")
    described = document(site.url)
    for name in ("get_api_info", "post_api_1_mod_create"):
        shown = plain.page.locator(f"#{name}")
        shown.locator("summary").click()
        expect(shown.get_by_text("With curl")).to_be_visible()
        expect(shown.get_by_role("button")).to_have_count(0)
    assert plain.page.locator(".api-method").count() == sum(len(one) for one in described["paths"].values())
    plain.close()
