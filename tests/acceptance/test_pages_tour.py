"""Every page of the site, as everybody sees it: axe finds nothing, nothing is cut, covered or too small to be touched.

The pages come from the map of addresses of the app itself: a page that no stop of `tests.support.tour` is at, and that
is not named here as an answer to programs, makes this fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, ViewportSize

from knossos.settings import Settings
from knossos.web import create_app
from tests.support.browser import accessible, sideways, touchable
from tests.support.redis_server import RedisServer
from tests.support.tour import STOPS, Visitors
from tests.support.tour_world import World, tour_world

pytestmark = pytest.mark.xdist_group("pages of the tour")

#: Parts of the app that answer programs, and never with a page.
NO_PAGES = {
    *("assets", "calculations", "converter", "info", "linkahead", "mirror", "nebula", "operating", "repository"),
    *("runners", "schedules", "script_server", "storage", "task_feeds"),
}
#: Files, and parts of pages, beside pages of the same part.
NO_PAGE = {
    "_health",
    "api_docs.description",
    "calculation_pages.input_file",
    "calculation_pages.values",
    "job_pages.place",
    "job_pages.script",
    "log_pages.raw",
    "mod_pages.files",
    "operator_pages.live",
    "run_pages.about",
    "run_pages.file",
    "run_pages.output",
}

Scheme = Literal["light", "dark"]

WIDE, PHONE = ViewportSize(width=1280, height=860), ViewportSize(width=360, height=740)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[World]:
    with tour_world(tmp_path_factory.mktemp("world"), redis_server.url) as made:
        yield made


@pytest.fixture(scope="module")
def visitors(browser: Browser, world: World) -> Iterator[Visitors]:
    made = Visitors(browser, world)
    yield made
    assert made.close() == []


def test_every_page_is_on_the_tour(settings: Settings, engine: object) -> None:
    app = create_app(settings, engine)  # type: ignore[arg-type]
    found = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    pages = {one for one in found if one.partition(".")[0] not in NO_PAGES} - NO_PAGE
    assert pages == {stop.endpoint for stop in STOPS.values()}
    assert found >= NO_PAGE


@pytest.mark.slow
@pytest.mark.parametrize("name", list(STOPS))
@pytest.mark.parametrize(("wide", "narrow"), [("light", "dark"), ("dark", "light")])
def test_everybody_can_use_a_page_wide_and_narrow_light_and_dark(
    visitors: Visitors, world: World, name: str, wide: Scheme, narrow: Scheme
) -> None:
    look(visitors, world, name, wide, narrow)


def look(visitors: Visitors, world: World, name: str, wide: Scheme, narrow: Scheme) -> None:
    """Go there, and see that everything can be seen and reached at both sizes."""
    stop = STOPS[name]
    page = visitors.visit(stop.who).page
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme=wide)
    stop.go(page, world)
    for size, scheme in ((WIDE, wide), (PHONE, narrow)):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        accessible(page)
        assert sideways(page) == 0
        assert touchable(page) == []
