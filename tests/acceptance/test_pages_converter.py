"""/converter in a real browser: writing, checking, sending, and where mistakes are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from knossos.accounts.access import owner_of_account
from tests.support.browser import Visit, sideways
from tests.support.redis_server import RedisServer
from tests.support.site import API_KEY, PASSWORD, Site

pytestmark = pytest.mark.xdist_group("pages of converter")

MOD = {"id": "tiny", "title": "Tiny", "version": "3.7", "packages": []}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("site"), redis_server.url, sockets=False) as started:
        yield started


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    started = Visit(browser, site.url)
    yield started
    started.close()
    assert started.troubles == []


@pytest.fixture
def page(visit: Visit) -> Page:
    visit.page.goto("/converter")
    return visit.page


def write(page: Page, text: str) -> None:
    page.get_by_label("Description (JSON)").fill(text)


def send(page: Page, key: str = API_KEY) -> None:
    if page.get_by_label("API key").count():
        page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Package this mod").click()


def selected(page: Page) -> str:
    text: str = page.evaluate(
        "(() => { const f = document.activeElement; return f.value.slice(f.selectionStart, f.selectionEnd); })()"
    )
    return text


def marked_line(page: Page) -> int | None:
    """The number of the line that the mark lies on, by where it is drawn."""
    line: int | None = page.evaluate(
        """() => {
          const mark = document.querySelector("[data-mark]"), field = document.querySelector("#data");
          if (mark.hidden) return null;
          const style = getComputedStyle(field);
          const top = mark.getBoundingClientRect().top - field.getBoundingClientRect().top;
          return 1 + Math.round((top - parseFloat(style.paddingTop) + field.scrollTop) / parseFloat(style.lineHeight));
        }"""
    )
    return line


def test_the_example_is_a_description_that_the_server_accepts(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Insert example").click()
    expect(page.get_by_text("Well-formed JSON")).to_be_visible()
    send(page)
    expect(page).to_have_url(re.compile(r"/watch/\d+\?token=\w{30}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Starlit Passage 1.2.0")
    expect(page.get_by_text("Waiting", exact=True)).to_be_visible()


#: Has the example come only when `window.arrive()` is called, as over a slow line.
LATE = """() => {
  const fetched = window.fetch, late = new Promise((resolve) => { window.arrive = resolve; });
  window.fetch = async (...what) => { await late; return fetched(...what); };
}"""


def test_who_sends_before_the_example_has_come_sends_the_example(page: Page) -> None:
    page.evaluate(LATE)
    page.get_by_role("button", name="Insert example").click()
    send(page)
    page.evaluate("window.arrive()")
    expect(page.get_by_role("heading", level=1)).to_have_text("Starlit Passage 1.2.0")


def test_an_example_that_cannot_be_had_is_told(page: Page) -> None:
    page.evaluate("() => { window.fetch = async () => new Response('', { status: 503 }); }")
    page.get_by_role("button", name="Insert example").click()
    expect(page.get_by_role("alert")).to_contain_text("The example could not be had.")


def test_a_mistake_in_the_json_is_shown_at_its_line_while_one_writes(page: Page) -> None:
    write(page, '{\n  "id": "tiny"\n  "title": "Tiny"\n}')
    expect(page.locator("[data-status]")).to_have_text(
        "Line 3: Expected ',' or '}' here. Is a comma missing before this?"
    )
    assert marked_line(page) == 3
    write(page, json.dumps(MOD))
    expect(page.locator("[data-status]")).to_have_text("Well-formed JSON, 1 line.")
    assert marked_line(page) is None


def test_json_that_is_broken_is_not_sent(page: Page) -> None:
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    write(page, '{"id": }')
    send(page)
    expect(page.get_by_label("Description (JSON)")).to_be_focused()
    assert not any("/api/" in url for url in requests)


def test_what_the_server_objects_to_runs_under_no_button_of_a_small_screen(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    package = {"name": "a", "status": "required", "files": [{"filename": "a.zip", "urls": ["ftp://example.org/a.zip"]}]}
    write(page, json.dumps({**MOD, "packages": [package]}))
    send(page)
    text = page.get_by_role("alert").get_by_text("expected a complete link")
    assert text.evaluate("(node) => node.scrollWidth <= node.clientWidth")


def test_the_servers_objections_are_shown_at_their_lines(page: Page, site: Site) -> None:
    before = len(site.engine.list_jobs())
    mod = {**MOD, "version": "next week", "packages": [{"name": "a", "status": "needed", "files": []}]}
    write(page, json.dumps({"mods": [mod]}, indent=2))
    send(page)
    problems = page.get_by_role("alert")
    expect(problems.get_by_role("listitem")).to_have_count(2)
    expect(problems).to_be_focused()
    expect(problems).to_contain_text("mods.0.version")
    assert marked_line(page) == 6
    page.get_by_role("button", name="Line 10").click()
    assert selected(page).startswith('"needed"')
    assert marked_line(page) == 10
    assert len(site.engine.list_jobs()) == before
    write(page, json.dumps(MOD))
    expect(problems).to_be_hidden()


def test_objections_to_a_bare_mod_and_to_what_is_missing_lead_to_the_nearest_line(page: Page) -> None:
    write(page, json.dumps({key: value for key, value in MOD.items() if key != "title"} | {"version": 3}, indent=2))
    send(page)
    expect(page.get_by_role("alert").get_by_role("listitem")).to_have_count(2)
    page.get_by_role("button", name="Line 3").click()
    assert selected(page) == "3,"
    page.get_by_role("button", name="Line 1", exact=True).click()
    assert selected(page) == "{"


def test_a_wrong_key_and_a_wrong_webhook_are_said(page: Page) -> None:
    write(page, json.dumps(MOD))
    send(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("Access denied")
    expect(page.get_by_label("API key")).to_be_focused()
    page.get_by_label("Webhook").fill("http://10.0.0.1/hook")
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("webhook")


def test_a_server_that_is_gone_is_said(page: Page) -> None:
    write(page, json.dumps(MOD))
    page.route("**/api/converter/request", lambda route: route.abort())
    send(page)
    expect(page.get_by_role("alert")).to_contain_text("could not be reached")
    expect(page.get_by_role("button", name="Package this mod")).to_be_enabled()


def test_a_file_can_be_opened_or_dropped_and_the_text_before_it_put_back(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "mod.json"
    file.write_text(json.dumps(MOD, indent=2))
    field = page.get_by_label("Description (JSON)")
    page.get_by_label("Open a file").set_input_files(file)
    expect(field).to_have_value(file.read_text())
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(['{"dropped": true}'], "other.json", { type: "application/json" }));
          document.querySelector("#data").dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
        }"""
    )
    expect(field).to_have_value('{"dropped": true}')
    expect(page.get_by_text("Opened other.json. Your text was replaced.")).to_be_visible()
    page.get_by_role("button", name="Put my text back").click()
    expect(field).to_have_value(file.read_text())


def test_what_was_written_is_there_again_until_the_tab_is_closed(page: Page, visit: Visit) -> None:
    field = page.get_by_label("Description (JSON)")
    text = json.dumps(MOD, indent=4)
    write(page, text)
    send(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Tiny 3.7")
    page.go_back()
    expect(field).to_have_value(text)
    page.goto("/converter")
    expect(field).to_have_value(text)
    assert visit.context.storage_state().get("origins") == [], "it must not outlive the tab"
    page.get_by_role("button", name="Start with an empty one").click()
    expect(field).to_have_value("")
    page.reload()
    expect(page.locator("[data-status]")).to_contain_text("Paste a description")
    expect(field).to_have_value("")


def test_a_description_that_is_gone_is_said(page: Page) -> None:
    page.goto("/converter?again=999999&token=x")
    expect(page.get_by_role("alert")).to_contain_text("could not be had")


def test_the_key_is_remembered_only_where_that_was_asked_for(page: Page, visit: Visit) -> None:
    write(page, "{}")
    send(page, "secret-key")
    expect(page.get_by_role("alert")).to_be_visible()
    page.reload()
    expect(page.get_by_label("API key")).to_have_value("")
    write(page, "{}")
    page.get_by_label("Remember it until this tab is closed").check()
    send(page, "secret-key")
    expect(page.get_by_role("alert")).to_be_visible()
    page.reload()
    expect(page.get_by_label("API key")).to_have_value("secret-key")
    assert visit.context.storage_state().get("origins") == [], "it must not outlive the tab"


def test_the_keyboard_can_indent_and_can_leave_the_field(page: Page) -> None:
    field = page.get_by_label("Description (JSON)")
    field.fill("{")
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    expect(field).to_have_value("{  ")
    page.keyboard.press("Control+z")
    expect(field).to_have_value("{")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(field).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_label("Open a file")).to_be_focused()


def test_whoever_is_logged_in_needs_no_key(page: Page, site: Site) -> None:
    page.get_by_role("link", name="log in", exact=True).click()
    page.get_by_label("Name").fill("dora")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The name or the password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("You are logged in as dora")).to_be_visible()
    write(page, json.dumps(MOD))
    send(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Tiny 3.7")
    assert site.engine.list_jobs()[0].owner == owner_of_account("dora")
    page.locator("summary", has_text="dora").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()


def test_a_login_works_over_plain_http_under_a_name_that_browsers_do_not_trust(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site.url.replace("127.0.0.1", "knossos.test"))
    page = visit.page
    page.goto("/login?next=/converter")
    page.get_by_label("Name").fill("dora")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("You are logged in as dora")).to_be_visible()
    write(page, json.dumps(MOD))
    send(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Tiny 3.7")
    visit.close()


@pytest.mark.parametrize("path", ["/", "/converter", "/login", "/tasks", "/nothing"])
def test_no_page_scrolls_sideways_on_a_small_phone(browser: Browser, site: Site, path: str) -> None:
    visit = Visit(browser, site.url, viewport={"width": 360, "height": 740})
    visit.page.goto(path)
    if path == "/converter":
        visit.page.get_by_role("button", name="Insert example").click()
        expect(visit.page.get_by_text("Well-formed JSON")).to_be_visible()
    assert sideways(visit.page) == 0
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_follow_the_systems_colours(browser: Browser, site: Site, scheme: str) -> None:
    visit = Visit(browser, site.url, color_scheme=scheme)
    visit.page.goto("/")
    expect(visit.page.locator("html")).to_have_attribute("data-bs-theme", scheme)
    lightness: float = visit.page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0) / 765"
    )
    assert (lightness > 0.5) == (scheme == "light")
    visit.page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
    expect(visit.page.locator("html")).to_have_attribute("data-bs-theme", "light" if scheme == "dark" else "dark")
    visit.close()
