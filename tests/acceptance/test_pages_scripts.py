"""Scripts in a real browser, run by a real worker in the real sandbox: forms, live output, HTML that cannot do harm."""

from __future__ import annotations

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from knossos.errors import InvalidInput
from knossos.scripting.forms import check, read_form
from tests.support.browser import Visit, accessible, sideways
from tests.support.processes import worker_process
from tests.support.redis_server import RedisServer
from tests.support.script_scenes import FORM, write_script, write_scripts
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("pages of scripts")

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has a folder for each run that waits, which a file ``go`` lets go on. Scripts may read it."""
    folder = tmp_path_factory.mktemp("gates")
    folder.chmod(0o755)  # scripts are somebody else
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, gates: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    write_scripts(folder / "bin")
    started = Site(
        folder,
        redis_server.url,
        server_side_scripting_bin_dirs=(str(folder / "bin"),),
        script_read_paths=(str(gates), sys.prefix, str(Path(sys.executable).resolve().parents[1])),
        role_permissions={"anonymous": ("SCRIPTING:EXECUTE:tables/*",)},
    )
    with started:
        worker = worker_process(folder / "worker.log", folder / "settings.py")
        try:
            yield started
        finally:
            worker.stop()


@pytest.fixture
def gate(gates: Path, tmp_path: Path) -> Iterator[Path]:
    """The folder of a run of this test's. In the end it goes on whatever became of the test: it has the only worker."""
    folder = gates / tmp_path.name
    folder.mkdir()
    yield folder
    (folder / "go").touch()


def visitor(browser: Browser, site: Site, name: str = "", **options: Any) -> Visit:
    visit = Visit(browser, site.url, reduced_motion="reduce", **options)
    if name:
        visit.log_in(name, "/scripts")
    return visit


def lines(page: Page, stream: str) -> list[str]:
    found: list[str] = page.locator(f'.out-line[data-stream="{stream}"] .out-text').all_text_contents()
    return found


def errors(page: Page) -> dict[str, str]:
    found: dict[str, str] = page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("[data-error]")].map(
          (line) => [line.closest("[data-place]").dataset.place, line.textContent]))"""
    )
    return found


SHARE = """\
import os
with open(os.path.join(os.environ["SHARED_DIR"], "plot.txt"), "w") as file:
    file.write("a plot")
"""

TABLE = {"name": "t.csv", "mimeType": "text/csv", "buffer": b"a\nb\nc\n"}


def test_a_form_is_filled_in_by_keyboard_put_right_and_run_while_its_output_is_watched(
    browser: Browser, site: Site, gate: Path
) -> None:
    visit = visitor(browser, site, "olga", viewport={"width": 1280, "height": 900})
    page = visit.page
    page.get_by_role("link", name="Measure samples").click()
    expect(page.get_by_role("heading", name="Measure samples")).to_be_visible()
    expect(page.locator("form[novalidate]")).to_be_visible()
    # A second row by keyboard: the focus goes into it.
    add = page.get_by_role("button", name="Add to Samples")
    add.focus()
    page.keyboard.press("Enter")
    expect(page.locator('[name="samples.1.name"]')).to_be_focused()
    page.keyboard.type("second")
    page.keyboard.press("Tab")
    page.keyboard.type("lots")
    page.keyboard.press("Enter")
    assert errors(page) == {
        "title": "Fill this in.",
        "table": "Choose a file.",
        "folder": "Fill this in.",
        "samples.0.name": "Fill this in.",
        "samples.0.volume": "Fill this in.",
        "samples.1.volume": "Expected a number, such as 2.5.",
    }
    expect(page.get_by_role("alert")).to_have_text("6 fields are to be put right.")
    expect(page.get_by_label("Title")).to_be_focused()
    accessible(page)
    # What is mended is not said any more; the rows after one that goes take its number and keep what was typed.
    page.keyboard.type("Deep water")
    assert "title" not in errors(page)
    page.get_by_role("button", name="Remove Sample 1").click()
    expect(page.locator('[name="samples.0.name"]')).to_have_value("second")
    assert page.get_by_role("button", name=re.compile("Remove Sample")).count() == 0, "one is the least"
    page.fill('[name="samples.0.volume"]', "2.50")
    page.get_by_label("Cooled").check()
    page.get_by_role("button", name="Add to Tags").click()
    page.keyboard.type("salt")
    page.fill("#f-folder", str(gate))
    page.set_input_files("#f-table", TABLE)
    page.fill("#f-code", "4")
    page.get_by_role("button", name="Measure").last.click()
    # It runs, and its output is here before it has ended.
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-feed]")).to_have_text("Live")
    expect(page.locator("[data-badge]")).to_have_text("Running")
    expect(page.locator("[data-lines]").first).to_contain_text("rows: 3")
    assert lines(page, "stdout") == ["Measuring Deep water", "rows: 3"]
    expect(page.locator('.out-line[data-stream="stderr"] .out-text')).to_have_text(["careful <b>now</b>"])
    expect(page.locator(".ansi-bold")).to_have_text("Measuring")
    expect(page.locator(".ansi-fg-2")).to_have_text("Deep water")
    expect(page.locator('.out-line[data-stream="stderr"] .out-mark')).to_have_text("err")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "25")
    expect(page.get_by_text("reading the table")).to_be_visible()
    expect(page.locator('.log-line[data-level="WARNING"]')).to_contain_text("The table is old.")
    accessible(page)
    # A break of the socket: what follows comes by asking, once, and in order.
    site.stop_sockets()
    (gate / "go").touch()
    expect(page.locator("[data-badge]")).to_have_text("Failed")
    expect(page.locator("[data-ending]")).to_have_text("Exit code 4")
    expect(page.locator('.out-line[data-stream="stdout"]')).to_have_count(303)
    wanted = ["Measuring Deep water", "rows: 3", *(f"line {n}" for n in range(300)), "sample second 2.5 True"]
    assert lines(page, "stdout") == wanted
    site.start_sockets()
    expect(page.get_by_role("heading", name="This run did not end well")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    # What it left: a download, whatever it is called.
    with page.expect_download() as download:
        page.get_by_role("link", name="answer.html").click()
    assert Path(download.value.path()).read_text() == "<script>alert(1)</script>"
    # Later the same is there again, also where the engine has forgotten the task.
    address = page.url
    page.goto(address)
    expect(page.locator('.out-line[data-stream="stdout"]')).to_have_count(303)
    site.engine.redis.flushall()
    page.goto(address)
    expect(page.locator('.out-line[data-stream="stdout"]')).to_have_count(303)
    assert lines(page, "stdout") == wanted
    expect(page.locator("[data-ending]")).to_have_text("Exit code 4")
    page.goto("/runs")
    expect(page.get_by_role("row", name=re.compile("measure.py"))).to_contain_text("Exit code 4")
    accessible(page)
    visit.leave()


def test_html_output_is_shown_without_its_scripts_and_without_an_origin(browser: Browser, site: Site) -> None:
    visit = visitor(browser, site, viewport=PHONE, color_scheme="dark")
    page = visit.page
    # What the policy of the page stops has no answer.
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url))
    # Nobody is logged in: "tables" is everyone's, and the link has the token.
    page.goto("/scripts")
    expect(page.get_by_role("link", name="Measure samples")).to_have_count(0)
    accessible(page)
    page.get_by_role("link", name="Check a table").click()
    page.get_by_role("button", name="Run").last.click()
    page.wait_for_url("**/runs/*?token=*")
    expect(page.locator("[data-badge]")).to_have_text("Done")
    frame = page.frame_locator("[data-frame]")
    expect(frame.locator(".alert-success")).to_have_text("All 12 rows are fine. More")
    inner = page.frames[1]
    assert inner.evaluate("self.origin") == "null"
    assert inner.evaluate("document.body.dataset.ran") is None
    assert inner.evaluate("getComputedStyle(document.querySelector('.alert')).borderTopStyle") == "solid"
    assert not [url for url in answered if "beacon" in url]
    assert page.title() != "taken"
    # Its links lead to a window of their own.
    with page.context.expect_page() as opened:
        frame.get_by_role("link", name="More").click()
    expect(opened.value.get_by_role("heading", name="Scripts")).to_be_visible()
    assert sideways(page) == 0
    assert "sandbox" in page.request.get(inner.url).headers["content-security-policy"]
    # Without the token the run is not there.
    page.goto(page.url.partition("?")[0])
    expect(page.get_by_role("heading")).to_have_text("Not Found")
    visit.close()
    # The browser says what it has kept the page in the frame from doing; nothing else went wrong.
    assert not [one for one in visit.troubles if "sandboxed" not in one and "Content Security Policy" not in one]


def test_all_of_it_works_without_scripts_of_the_browser_on_a_small_phone(
    browser: Browser, site: Site, gate: Path
) -> None:
    visit = visitor(browser, site, "olga", java_script_enabled=False, viewport=PHONE)
    page = visit.page
    page.goto("/scripts/measure.py")
    page.fill("#f-title", "By hand")
    page.get_by_role("button", name="Add to Samples").click()
    expect(page.get_by_label("Title")).to_have_value("By hand")
    page.get_by_role("button", name="Add to Tags").last.click()
    page.fill('[id="f-samples.1.tags.0"]', "kept")
    page.get_by_role("button", name="Remove Sample 1").click()
    expect(page.locator('[id="f-samples.0.tags.0"]')).to_have_value("kept")
    page.fill('[name="samples.0.name"]', "one")
    page.fill('[name="samples.0.volume"]', "-1")
    page.set_input_files("#f-table", TABLE)
    (gate / "go").touch()
    page.fill("#f-folder", str(gate))
    page.get_by_role("button", name="Measure").last.click()
    expect(page.get_by_role("alert")).to_contain_text("2 fields are to be put right")
    expect(page.locator('[data-place="samples.0.volume"] .field-error')).to_have_text("At least 0.")
    expect(page.locator('[data-place="table"] .field-error')).to_contain_text("Choose t.csv again")
    expect(page.locator('[name="samples.0.volume"]')).to_have_value("-1")
    page.fill('[name="samples.0.volume"]', "1")
    page.set_input_files("#f-table", TABLE)
    page.get_by_role("button", name="Measure").last.click()
    page.wait_for_url("**/runs/*")
    # The page looks again by itself.
    expect(page.locator("[data-ending]")).to_have_text("Exit code 0")
    expect(page.locator("pre").first).to_contain_text("Measuring By hand\nrows: 3\nline 0\n")
    expect(page.get_by_role("link", name="answer.html")).to_be_visible()
    width = page.locator("main").bounding_box()
    assert width is not None
    assert width["width"] <= PHONE["width"]
    visit.leave()


def test_a_page_of_the_operators_own_makes_a_form_and_shows_what_comes_of_it_in_place(
    browser: Browser, site: Site
) -> None:
    visit = visitor(browser, site, "dora", viewport=PHONE)
    page = visit.page
    config = {"script": "tables/echo.py", "fields": FORM["fields"][:1] + FORM["fields"][-1:]}
    assert page.evaluate(
        """async (config) => {
          const { make_form } = await import("/static/latest/form_elements.js");
          const title = document.createElement("h1");
          title.textContent = "A page of one's own";
          document.querySelector("main .page-width").replaceChildren(title, make_form(config));
          document.querySelector("main form").classList.add("panel");
          return window.form_elements.make_form === make_form;
        }""",
        config,
    )
    page.get_by_role("button", name="Run").last.click()
    assert list(errors(page)) == ["title", "samples.0.name", "samples.0.volume"]
    assert sideways(page) == 0
    accessible(page)
    page.fill("#f-title", "in place")
    page.fill('[name="samples.0.name"]', "a")
    page.fill('[name="samples.0.volume"]', "1")
    page.get_by_role("button", name="Run").last.click()
    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text("Exit code 0")
    expect(result.locator(".out-line")).to_have_text([re.compile(r"\['.upload_files/form.json'\]"), "out['form.json']"])
    # What a script shares is there to be fetched, and a mistake in a description is told.
    write_script(Path(site.settings.server_side_scripting_bin_dirs[0]), "tables/share.py", SHARE)
    page.evaluate(
        """async () => {
          const form = window.form_elements.make_form({ script: "tables/share.py", fields: [] });
          document.querySelector("main .page-width").replaceChildren(form);
        }"""
    )
    page.get_by_role("button", name="Run").last.click()
    with page.expect_download() as download:
        page.get_by_role("list", name="Files").get_by_role("link", name="plot.txt").click()
    assert Path(download.value.path()).read_text("utf-8") == "a plot"
    assert '"a" of the form: type: expected one of text, textarea' in page.evaluate(
        """() => {
          try { window.form_elements.make_form({ script: "x", fields: [{ type: "odd", name: "a" }] }); }
          catch (error) { return error.message; }
        }"""
    )
    # A script that is not the visitor's.
    page.evaluate(
        """async () => {
          const form = window.form_elements.make_form({ script: "measure.py", fields: [{ type: "text", name: "a" }] });
          document.querySelector("main .page-width").replaceChildren(form);
        }"""
    )
    page.get_by_role("button", name="Run").last.click()
    expect(page.get_by_role("status").last).to_contain_text("may not run measure.py")
    visit.leave()


def test_a_run_is_cancelled_on_its_page_and_tasks_and_watch_lead_there(
    browser: Browser, site: Site, gate: Path
) -> None:
    visit = visitor(browser, site, "olga")
    page = visit.page
    page.goto("/scripts/measure.py")
    page.fill("#f-title", "Long")
    page.fill("#f-folder", str(gate))
    page.fill('[name="samples.0.name"]', "a")
    page.fill('[name="samples.0.volume"]', "1")
    page.set_input_files("#f-table", TABLE)
    page.get_by_role("button", name="Measure").last.click()
    page.wait_for_url("**/runs/*")
    address = page.url
    about = page.evaluate("async (run) => (await fetch(`/api/runs/${run}`)).json()", address.rpartition("/")[2])
    page.goto("/tasks")
    row = page.get_by_role("row").filter(has=page.locator(f'a[href$="/watch/{about["ticket"]}"]'))
    expect(row).to_contain_text("Script")
    row.get_by_role("link").click()
    page.wait_for_url(address)
    expect(page.locator("[data-lines]").first).to_contain_text("rows: 3")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Really cancel?").click()
    expect(page.locator("[data-badge]")).to_have_text("Cancelled")
    expect(page.get_by_text("Cancelled by olga.").first).to_be_visible()
    visit.leave()


def test_output_is_shown_as_a_terminal_would_but_for_what_is_no_style_and_only_its_end_is_kept(
    browser: Browser, site: Site
) -> None:
    visit = visitor(browser, site)
    visit.page.goto("/scripts/tables/echo.py")
    shown = visit.page.evaluate(
        """async (cases) => {
          const { AnsiReader } = await import("/static/latest/js/ansi.js");
          return cases.map((pieces) => {
            const reader = new AnsiReader();
            return pieces.flatMap((piece) => reader.read(piece)).map(({ text, classes }) => `${classes}|${text}`);
          });
        }""",
        [pieces for pieces, _ in ANSI],
    )
    assert shown == [expected for _, expected in ANSI]
    found = visit.page.evaluate(
        """async () => {
          const { OutputView } = await import("/static/latest/js/output_view.js");
          const root = document.createElement("div");
          const list = "<div class='log-lines out-lines' data-lines></div>";
          root.innerHTML = `<i data-count></i><i data-follow></i>${list}<p data-empty></p>`;
          document.body.append(root);
          const view = new OutputView(root);
          view.add("stdout", "half a ");
          view.add("stderr", "10 %\\r");
          view.add("stderr", "20 %\\r100 %\\r");
          view.add("stdout", "line\\r\\n\\n<b>x</b>\\n");
          view.add("stderr", "\\ndone");
          view.add("stdout", "y".repeat(20000) + "\\n");
          const drawn = async () => { while (view.waiting.length) await new Promise((go) => setTimeout(go, 20)); };
          await drawn();
          const said = (row) => `${row.dataset.stream} ${row.lastChild.textContent}`;
          const lines = [...root.querySelectorAll(".out-line")].map(said);
          for (let number = 0; number < 30000; number += 1) view.add("stdout", `line ${number}\\n`);
          view.end();
          await drawn();
          const rows = [...root.querySelectorAll(".out-line")];
          return { lines, count: rows.length, note: rows[0].textContent, last: rows.at(-1).lastChild.textContent };
        }"""
    )
    assert found["lines"][:5] == ["stdout half a line", "stderr 100 %", "stdout ", "stdout <b>x</b>", "stderr done"]
    assert [len(line) for line in found["lines"][5:]] == [8199, 8199, 3623]
    assert found["count"] <= 20_001
    assert re.fullmatch(r"10,\d\d\d lines before this are not shown here; the download has them", found["note"])
    assert found["last"] == "line 29999"
    visit.leave()


#: Pieces as they arrive, and what is shown of them: classes and text.
ANSI: list[tuple[list[str], list[str]]] = [
    (["plain\n"], ["|plain\n"]),
    (["\x1b[1;31mred\x1b[22m still\x1b[39m no\x1b[m"], ["ansi-bold ansi-fg-1|red", "ansi-fg-1| still", "| no"]),
    (["a\x1b[", "3", "2mb\x1b", "[0mc"], ["|a", "ansi-fg-2|b", "|c"]),
    (["\x1b[38;5;196mx\x1b[48;2;0;0;180my\x1b[0m"], ["ansi-fg-1|x", "ansi-fg-1 ansi-bg-4|y"]),
    (["\x1b[97;100mx\x1b[38;9;1my"], ["ansi-fg-15 ansi-bg-8|x", "ansi-bg-8|y"]),
    (["\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1bPq\x1b\\c"], ["|a", "|b", "|c"]),
    (["\x1b[2J\x1b[1;1Ha\x1b[?25lb\x1b(Bc\x1b=d\x1b[>4;2me"], ["|a", "|b", "|c", "|d", "|e"]),
    (["a\x08b\x00c\x9bd\x7f\te"], ["|abcd\te"]),
    (["<img src=x onerror=alert(1)>"], ["|<img src=x onerror=alert(1)>"]),
    (["\x1b[" + "1;" * 3000, "m"], ["|[" + "1;" * 3000, "|m"]),
]


def test_the_browser_and_the_server_say_the_same_of_whatever_is_filled_in(browser: Browser, site: Site) -> None:
    chance = random.Random(4)
    field_kinds: list[dict[str, Any]] = [
        {"type": "text", "max_length": 3, "pattern": "[a-c😀]*"},
        {"type": "textarea", "required": True},
        {"type": "integer", "min": -2, "step": 3},
        {"type": "double", "max": 2.5, "step": 0.25},
        {"type": "date", "min": "2024-01-31"},
        {"type": "checkbox", "required": True},
        {"type": "select", "options": ["a", {"value": "b", "label": "B"}], "multiple": True},
        {"type": "select", "options": ["a", "b"], "required": True},
        {"type": "file", "accept": ".csv", "multiple": True},
        {"type": "text", "repeat": {"min": 1, "max": 2}},
        {"type": "integer", "required": True, "repeat": {}},
        {"type": "group", "fields": FORM["fields"][:1] + FORM["fields"][-1:]},
    ]
    leaves: list[Any] = [None, "", " ", "a", "abcd", "😀😀", "a\r\nb", "\0", "1", "-2", "+4", "1.5", "0.3", ".5", "1e3"]
    leaves += ["9007199254740993", "1e400", "2024-02-29", "2023-02-29", "0000-01-01", "t.csv", "t.txt", "form.json"]
    leaves += [True, False, "on", 1, -2, 2.5, 0.1, 1e301, [], ["a", "b"], ["t.csv", "t.csv"], ["", "a", "1", "b"], {}]
    leaves += [{"title": "x", "samples": [{"name": "a", "volume": "1"}, {"cold": "no", "x": 1}]}, {"samples": "x"}]
    cases = []
    for _ in range(600):
        fields = [{**chance.choice(field_kinds), "name": name} for name in ("one", "two")]
        cases.append({"fields": fields, "values": {name: chance.choice(leaves) for name in ("one", "two")}})
    names = ["t.csv", "t.txt", "form.json"]
    visit = visitor(browser, site)
    visit.page.goto("/login")
    said = visit.page.evaluate(
        """async ([cases, names]) => {
          const { check, normalise } = await import("/static/latest/js/forms/check.js");
          return cases.map(({ fields, values }) => check(fields.map(normalise), values, names));
        }""",
        [cases, names],
    )
    for case, browser_said in zip(cases, said, strict=True):
        wrong: list[dict[str, str]] = []
        values = None
        try:
            values = check(read_form({"fields": case["fields"]}), case["values"], names)
        except InvalidInput as error:
            wrong = error.errors
        assert browser_said["errors"] == wrong, json.dumps(case)
        assert wrong or browser_said["values"] == values, json.dumps(case)
    visit.leave()
