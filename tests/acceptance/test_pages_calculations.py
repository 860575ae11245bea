"""Calculations in a real browser, calculated by a real worker: posting, the plot as it grows, and what is left."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from knossos.line_patterns import number_of, read_pattern
from knossos.scripting.calculations.plot import PlotSeries, read_values
from knossos.web.plot_scale import number_axis, thinned, value_axis, written
from tests.support.browser import Visit, accessible, sideways
from tests.support.processes import worker_process
from tests.support.redis_server import RedisServer
from tests.support.site import Site

pytestmark = pytest.mark.xdist_group("pages of calculations")

#: Converges, waits until the test lets it go on, and goes on; then prints as much as a long calculation does.
PROGRAM = """#!/bin/sh
folder=$1
for value in 1.5 1.25 1.125; do echo "energy -24$value"; done
echo 'energy 99' >&2
while [ ! -e "$folder/go" ]; do sleep 0.05; done
if grep -q long input.xml; then
    awk 'BEGIN { for (n = 4; n <= 10000; n++) printf "energy -%.6f\\n", 241 + 1 / n }'
else
    echo 'energy -241.0625'
fi
echo '<info/>' > info.xml
"""
PATTERNS = [r"energy +(-?[0-9.]+)", r"^\s*\w{2,4}: ([^ ]+)$", r"[^\d]*(\d+)(?:\.|;)?", r".*=(.*)", r"[Ee]\S? ?(\D?\d)"]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    folder.chmod(0o755)  # the program is somebody else
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, gate: Path) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    program = folder / "calculate.sh"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    started = Site(
        folder,
        redis_server.url,
        calculation_command=(str(program), str(gate)),
        calculation_api_keys=("key of the laboratory",),
        calculation_plot=({"pattern": PATTERNS[0], "label": "Total energy", "unit": "hartree"},),
        script_read_paths=(str(gate),),
    )
    with started:
        worker = worker_process(folder / "worker.log", folder / "settings.py")
        try:
            yield started
        finally:
            worker.stop()


def visitor(browser: Browser, site: Site, **options: Any) -> Visit:
    visit = Visit(browser, site.url, reduced_motion="reduce", **options)
    visit.log_in("olga", "/calculations")
    return visit


def test_an_input_is_posted_its_plot_grows_and_it_is_deleted_from_the_list(
    browser: Browser, site: Site, gate: Path
) -> None:
    visit = visitor(browser, site, viewport={"width": 1280, "height": 900})
    page = visit.page
    expect(page.get_by_text("Nothing has been calculated yet.")).to_be_visible()
    page.fill("#post-text", "<input>")
    page.get_by_role("button", name="Calculate").click()
    expect(page.get_by_role("alert")).to_contain_text("this is no XML")
    page.fill("#post-text", "<input>one</input>")
    page.get_by_role("button", name="Calculate").click()
    page.wait_for_url("**/runs/*")
    dots = page.locator("svg.plot .plot-dot")
    expect(dots).to_have_count(3)
    readout = page.locator("[data-readout]")
    expect(readout).to_have_text("Last: Total energy \N{MINUS SIGN}241.125 hartree (iteration 3)")
    expect(page.get_by_role("img", name="Total energy in hartree over iterations")).to_be_visible()
    accessible(page)
    page.locator("[data-canvas]").focus()
    for _ in range(2):
        page.keyboard.press("ArrowLeft")
    expect(readout).to_have_text("Iteration 2: Total energy \N{MINUS SIGN}241.25 hartree")
    page.get_by_text("Values", exact=True).click()
    expect(page.locator("[data-rows] tr")).to_have_count(3)
    # It goes on, and the plot with it.
    (gate / "go").touch()
    expect(page.locator("[data-badge]")).to_have_text("Done")
    expect(dots).to_have_count(4)
    expect(page.locator("[data-rows] tr")).to_have_count(4)
    expect(page.get_by_role("link", name="info.xml")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="All values as CSV").click()
    assert Path(download.value.path()).read_text().splitlines()[-1] == "4,-241.0625"
    # Later it is the same, with what the server has kept.
    site.engine.redis.flushall()
    page.reload()
    expect(dots).to_have_count(4)
    page.get_by_role("heading", name="Input").click()
    expect(page.locator(".calculation-input pre")).to_have_text("<input>one</input>")
    page.goto("/calculations")
    row = page.locator("[data-key]")
    expect(row).to_contain_text("\N{MINUS SIGN}241.0625 hartree")
    accessible(page)
    # Another visitor posts one: it comes into the list by itself.
    page.evaluate(
        """async () => {
          const form = new FormData();
          form.set("text", "<input>long</input>");
          await fetch("/calculations", { method: "POST", body: form });
        }"""
    )
    expect(page.locator("[data-key]")).to_have_count(2)
    expect(page.locator("[data-key]").first).to_contain_text("Done")
    last = page.locator("[data-key]").last
    last.get_by_role("button").click()
    last.get_by_role("button", name="Really delete?").click()
    expect(page.locator("[data-key]")).to_have_count(1)
    # Ten thousand values are a line of few points, with the keyboard as quick as with ten.
    page.locator("[data-key] a").click()
    expect(page.locator("[data-readout]")).to_contain_text("(iteration 10,000)")
    points = page.locator("svg.plot path").get_attribute("d") or ""
    assert 100 < points.count("L") < 5000
    page.locator("[data-range]").select_option("20")
    expect(dots).to_have_count(20)
    visit.close()
    assert visit.troubles == []


def test_without_scripts_on_a_phone_the_plot_is_there_and_deleting_is_asked(
    browser: Browser, site: Site, gate: Path
) -> None:
    (gate / "go").touch()
    visit = visitor(
        browser, site, java_script_enabled=False, color_scheme="dark", viewport={"width": 360, "height": 740}
    )
    page = visit.page
    page.get_by_text("Post an input").click()
    page.set_input_files("#post-file", {"name": "a.xml", "mimeType": "text/xml", "buffer": b"<input>two</input>"})
    page.get_by_role("button", name="Calculate").click()
    page.wait_for_url("**/runs/*")
    expect(page.locator("[data-ending]")).to_have_text("Exit code 0")
    expect(page.locator("svg.plot-narrow .plot-dot")).to_have_count(4)
    expect(page.locator("svg.plot-wide")).to_be_hidden()
    width = page.locator("main").bounding_box()
    assert width is not None
    assert width["width"] <= 360
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete it").click()
    page.wait_for_url("**/calculations")
    expect(page.get_by_text("two")).to_have_count(0)
    visit.close()
    assert visit.troubles == []


def test_the_browser_and_the_server_find_the_same_numbers_and_draw_the_same_axes(browser: Browser, site: Site) -> None:
    chance = random.Random(5)
    signs = "0123456789.-+eEdD=: \u00e9\U0001f600abw;\r\n"
    texts = ["".join(chance.choice(signs) for _ in range(chance.randint(1, 700))) for _ in range(60)]
    texts += [f"x={text}\nab: {text}\nenergy {text}" for text in ("-1.5D+03", "1e999", "007", ".5", "5.", "1_0")]
    spans = [(low, low + width) for low in (-242.1, 0.0, 3.7e8, -2e-9) for width in (0.0, 1e-9, 0.37, 12.0, 4e7)]
    points = [[number, chance.uniform(-1, 1)] for number in range(1, 5001)]
    sources = [read_pattern(pattern).source for pattern in PATTERNS]
    visit = Visit(browser, site.url, viewport={"width": 360, "height": 740})
    visit.page.goto("/login")
    found = visit.page.evaluate(
        """async ({ texts, sources, spans, points }) => {
          const { LineValues } = await import("/static/latest/js/line_values.js");
          const scale = await import("/static/latest/js/plot_scale.js");
          const values = texts.map((text) => {
            const reader = new LineValues(sources);
            for (let at = 0; at < text.length; at += 7) reader.add(text.slice(at, at + 7));
            reader.end();
            return reader.lines.map((line) => line.map(([, value]) => value));
          });
          return {
            values,
            axes: spans.map(([low, high]) => scale.valueAxis(low, high, 6)),
            numbers: [1, 2, 13, 977, 100000].map((last) => scale.numberAxis(1, last, 8)),
            written: spans.map(([low]) => scale.written(low)),
            thinned: scale.thinned(points, 200),
          };
        }""",
        {"texts": texts, "sources": sources, "spans": spans, "points": points},
    )
    series = tuple(PlotSeries(pattern, "", read_pattern(pattern)) for pattern in PATTERNS)
    for text, values in zip(texts, found["values"], strict=True):
        assert values == [list(one) for one in read_values(series, [text]).series], text
    assert any(any(map(len, values)) for values in found["values"])
    for span, axis in zip(spans, found["axes"], strict=True):
        wanted = value_axis(*span, 6)
        assert [text for _, text in axis["marks"]] == [text for _, text in wanted.marks], span
        assert (axis["low"], axis["high"]) == pytest.approx((wanted.low, wanted.high), rel=1e-12)
    wanted_numbers = [number_axis(1, last, 8) for last in (1, 2, 13, 977, 100000)]
    assert [axis["marks"] for axis in found["numbers"]] == [json.loads(json.dumps(one.marks)) for one in wanted_numbers]
    assert found["written"] == [written(low) for low, _ in spans]
    assert found["thinned"] == [list(one) for one in thinned([(n, v) for n, v in points], 200)]
    assert number_of("1e999") is None
    assert re.search("[0-9]", found["written"][0])
    assert sideways(visit.page) == 0
    visit.close()
    assert visit.troubles == []
