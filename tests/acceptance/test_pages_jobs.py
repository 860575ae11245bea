"""People's own scripts in a real browser, run by a real worker in the real sandbox: written, watched, ended, again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Visit, accessible, sideways
from tests.support.processes import worker_process
from tests.support.redis_server import RedisServer
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("pages of jobs")

PHONE = {"width": 360, "height": 740}
#: Says when it has begun, and waits until a file is there in its home or somebody ends it.
WAITS = "# Waits for {name}\ntrap 'echo tidied; exit 7' TERM\necho begun\nwhile [ ! -e {name} ]; do sleep 0.02; done\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    more: dict[str, Any] = {"command": "sh", "args": ("-s",), "max_running": 1, "max_script_bytes": 300_000}
    with Site(folder, redis_server.url, **more) as started:
        worker = worker_process(folder / "worker.log", folder / "settings.py")
        try:
            yield started
        finally:
            worker.stop()


def visitor(browser: Browser, site: Site, name: str = "dora", **options: Any) -> Visit:
    visit = Visit(browser, site.url, reduced_motion="reduce", **options)
    visit.log_in(name, "/jobs")
    return visit


def put(visit: Visit, path: str, data: str = "") -> None:
    """Store a file in the visitor's home."""
    answer = visit.context.request.put(f"/api/files/{path}", data=data, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.ok, answer.text()


def sent(visit: Visit, script: str) -> int:
    answer = visit.context.request.post("/api/run", data=script, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.ok, answer.text()
    number: int = answer.json()["job_id"]
    return number


def twice(page: Page, name: str) -> None:
    """Press a button that asks in place."""
    page.get_by_role("button", name=name, exact=True).click()
    page.get_by_role("button", name=f"Really {name.lower()}?").click()


def test_a_script_is_written_by_keyboard_watched_ended_and_run_again(browser: Browser, site: Site) -> None:
    visit = visitor(browser, site, viewport={"width": 1280, "height": 900})
    page = visit.page
    page.get_by_role("link", name="Write a script").first.click()
    expect(page.get_by_text("At most 300 kB. Write it, or open a file.")).to_be_visible()
    accessible(page)
    field = page.get_by_label("Script", exact=True)
    field.focus()
    # Tab is text, and so is a new line's indentation; after Esc it leaves.
    for keys in ("if true; then", "Enter", "Tab", "echo begun", "Enter", "sleep 600", "Enter", "Backspace"):
        page.keyboard.press(keys) if keys in ("Enter", "Tab", "Backspace") else page.keyboard.type(keys)
    expect(field).to_have_value("if true; then\n    echo begun\n    sleep 600\n   ")
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+Tab")
    expect(field).not_to_be_focused()
    field.focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Shift+Tab")
    expect(field).to_have_value("if true; then\necho begun\nsleep 600\n  ")
    page.keyboard.press("Tab")
    expect(field).to_have_value("    if true; then\n    echo begun\n    sleep 600\n      ")
    page.keyboard.press("Control+End")
    page.keyboard.type("\nfi")
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/runs/*")
    expect(page.get_by_role("heading", name="if true; then")).to_be_visible()
    expect(page.locator("[data-badge]")).to_have_text("Running")
    expect(page.locator("[data-lines]").first).to_contain_text("begun")
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    accessible(page)
    twice(page, "Kill")
    expect(page.locator("[data-badge]")).to_have_text("Failed")
    expect(page.locator("[data-ending]")).to_have_text("Signal SIGKILL")
    expect(page.get_by_role("button", name="Kill")).to_be_hidden()
    page.get_by_role("link", name="Run again").click()
    expect(page.get_by_text(re.compile("This is the script of job"))).to_be_visible()
    expect(field).to_have_value(re.compile("    sleep 600\n"))
    # What was changed is still there when the page is loaded anew, also where a file takes its place.
    field.fill("echo changed\n")
    page.reload()
    expect(field).to_have_value("echo changed\n")
    put(visit, "from.sh", "echo from home\n")
    page.get_by_label("Path of a file").fill("/from.sh")
    page.get_by_role("button", name="Open", exact=True).click()
    expect(field).to_have_value("echo from home\n")
    page.get_by_role("button", name="Put the text before it back").click()
    expect(field).to_have_value("echo changed\n")
    visit.leave()


def test_a_draft_outlives_a_session_and_a_server_that_does_not_answer_and_is_its_users_alone(
    browser: Browser, site: Site
) -> None:
    visit = visitor(browser, site, viewport=PHONE, color_scheme="dark")
    page = visit.page
    page.goto("/jobs/new")
    field = page.get_by_label("Script", exact=True)
    field.fill("echo 'kept'\n")
    page.route("**/api/run", lambda route: route.abort())
    page.get_by_role("button", name="Run this script").click()
    expect(page.get_by_role("alert")).to_contain_text("The server could not be reached.")
    page.unroute("**/api/run")
    visit.context.clear_cookies()
    page.get_by_role("button", name="Run this script").click()
    expect(page.get_by_role("alert")).to_contain_text("You are not logged in any more.")
    accessible(page)
    assert sideways(page) == 0
    visit.log_in("olga", "/jobs/new")
    expect(page.get_by_text("At most 300 kB. Write it")).to_be_visible()
    expect(field).to_have_value("")
    visit.context.clear_cookies()
    visit.log_in("dora", "/jobs/new")
    expect(field).to_have_value("echo 'kept'\n")
    page.get_by_role("button", name="Run this script").click()
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-badge]")).to_have_text("Done")
    page.goto("/jobs/new")
    expect(page.get_by_text("At most 300 kB. Write it")).to_be_visible()
    expect(field).to_have_value("")
    visit.leave()


def test_files_are_opened_measured_and_sent_as_they_are_and_numbers_stay_beside_their_lines(
    browser: Browser, site: Site
) -> None:
    visit = visitor(browser, site, viewport=PHONE)
    page = visit.page
    page.goto("/jobs/new")
    field, chooser = page.get_by_label("Script", exact=True), page.locator("[data-file]")
    lines = "".join(f"# line {number} of a script that is long\n" for number in range(1, 7001))
    chooser.set_input_files({"name": "long.sh", "mimeType": "text/plain", "buffer": lines.encode()})
    expect(page.get_by_text("This is long.sh.")).to_be_visible()
    expect(page.get_by_text("7,001 lines, ")).to_be_visible()
    for share in (0.0, 0.43, 1.0):
        told = page.evaluate(
            """(share) => new Promise((done) => {
              const field = document.querySelector("textarea");
              field.scrollTop = share * field.scrollHeight;
              requestAnimationFrame(() => requestAnimationFrame(() => {
                const gutter = document.querySelector("[data-gutter]");
                const numbers = gutter.textContent.split("\\n").map(Number);
                const padding = parseFloat(getComputedStyle(field).paddingTop);
                const height = (field.scrollHeight - 2 * padding) / 7001;
                // Where the first number is, and where its line is, in pixels of the window.
                const number = gutter.getBoundingClientRect().top + padding;
                const line = field.getBoundingClientRect().top + padding + (numbers[0] - 1) * height - field.scrollTop;
                const box = gutter.getBoundingClientRect();
                const each = (box.height - 2 * padding) / numbers.length;
                done({ first: numbers[0], count: numbers.length, off: number - line, drift: each - height });
              }));
            })""",
            share,
        )
        assert abs(told["off"]) < 1, told
        assert abs(told["drift"]) * told["count"] < 2, told
        assert told["count"] < 60, told
        assert told["first"] == 1 if share == 0 else told["first"] > 2900, told
    assert sideways(page) == 0
    # Too much is told before it is sent, and what is no text is sent untouched.
    chooser.set_input_files({"name": "big.sh", "mimeType": "text/plain", "buffer": b"#" * 300_001})
    expect(page.get_by_role("alert")).to_contain_text("big.sh has 300 kB")
    field.evaluate("(field) => { field.value = '#'.repeat(300001); field.dispatchEvent(new Event('input')); }")
    page.get_by_role("button", name="Run this script").click()
    expect(page.get_by_role("alert")).to_contain_text("a script may have at most 300 kB")
    chooser.set_input_files({"name": "latin.sh", "mimeType": "text/plain", "buffer": b"printf '\xe9' | wc -c\n"})
    expect(page.get_by_role("alert")).to_contain_text("latin.sh is no text in UTF-8")
    page.get_by_role("button", name="Run it as it is").click()
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-badge]")).to_have_text("Done")
    expect(page.locator("[data-lines]").first).to_contain_text("1")
    visit.leave()


def test_the_list_and_the_page_of_one_that_waits_are_kept_up_to_date(browser: Browser, site: Site) -> None:
    visit = visitor(browser, site, viewport=PHONE)
    page = visit.page
    first = sent(visit, WAITS.format(name="go"))
    second, third = sent(visit, "echo second\n"), sent(visit, "echo third\n")
    page.goto("/jobs")
    row = page.get_by_role("row").filter(has_text="echo third")
    expect(row).to_contain_text("1 before it")
    expect(page.get_by_role("row").filter(has_text="# Waits for go")).to_contain_text("Running")
    accessible(page)
    assert sideways(page) == 0
    link = row.get_by_role("link")
    link.focus()
    other = visit.context.new_page()
    other.goto(f"/jobs/{third}")
    expect(other.locator("[data-place]")).to_have_text("1 before it")
    expect(other.get_by_role("button", name="Terminate")).to_be_hidden()
    # One before it is cancelled on its page.
    page.evaluate("window.same = true")
    gone = visit.context.new_page()
    gone.goto(f"/jobs/{second}")
    twice(gone, "Cancel")
    expect(gone.locator("[data-badge]")).to_have_text("Cancelled")
    expect(other.locator("[data-place]")).to_have_text("Next in line")
    page.bring_to_front()
    expect(row).to_contain_text("Next in line")
    expect(page.get_by_role("row").filter(has_text="echo second")).to_contain_text("Cancelled")
    expect(link).to_be_focused()
    # The running one is asked to end, and tidies up; then it is the next one's turn.
    gone.goto(f"/jobs/{first}")
    expect(gone.locator("[data-lines]").first).to_contain_text("begun")
    twice(gone, "Terminate")
    expect(gone.locator("[data-ending]")).to_have_text("Exit code 7")
    expect(gone.locator("[data-lines]").first).to_contain_text("tidied")
    expect(other.locator("[data-badge]")).to_have_text("Done")
    expect(other.locator("[data-place]")).to_be_hidden()
    expect(row).to_contain_text("Done")
    assert page.evaluate("window.same"), "the page was loaded anew"
    visit.leave()


def test_it_works_without_scripts_of_the_browser(browser: Browser, site: Site) -> None:
    visit = visitor(browser, site, java_script_enabled=False, viewport=PHONE)
    page = visit.page
    page.goto("/jobs/new")
    page.get_by_label("Script", exact=True).fill(WAITS.format(name="never"))
    page.get_by_role("button", name="Run this script").click()
    page.wait_for_url("**/runs/*")
    # The page looks again by itself.
    page.get_by_role("button", name="Terminate").click()
    expect(page.locator("[data-badge]")).to_have_text("Failed")
    expect(page.locator("pre.out-plain").first).to_contain_text("begun\ntidied")
    page.get_by_text("Script", exact=True).click()
    expect(page.locator(".job-lines")).to_contain_text("# Waits for never")
    page.get_by_role("link", name="Run again").click()
    page.set_input_files("#file", {"name": "x.sh", "mimeType": "text/plain", "buffer": b"echo a file\n"})
    page.get_by_role("button", name="Run this script").click()
    page.wait_for_url("**/runs/*")
    expect(page.get_by_role("heading", name="echo a file")).to_be_visible()
    visit.leave()
