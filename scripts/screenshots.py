"""Take the pictures of docs/images anew; given another folder, of every page, wide and narrow, light and dark.

Run by ``make screenshots``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from playwright.sync_api import ViewportSize

from knossos.accounts import Accounts
from knossos.database import Database
from knossos.publishing.publisher import Publisher
from knossos.publishing.tracking import Event, Report
from knossos.scripting.calls import Scripting
from knossos.settings import ROOT
from tests.support import scenes
from tests.support.browser import Visit, chromium
from tests.support.mod_scenes import publish_mods
from tests.support.redis_server import RedisServer
from tests.support.scenes import PlayedJob
from tests.support.script_scenes import play_run
from tests.support.site import PASSWORD, Site

#: Brings a visitor to what shall be seen.
Take = Callable[[Visit, dict[str, PlayedJob]], None]

#: End of the name, window and colour scheme of each kind of picture.
LOOKS: tuple[tuple[str, ViewportSize, Literal["light", "dark"]], ...] = (
    ("", {"width": 1280, "height": 860}, "light"),
    ("-dark", {"width": 1280, "height": 860}, "dark"),
    ("-phone", {"width": 360, "height": 740}, "light"),
    ("-phone-dark", {"width": 360, "height": 740}, "dark"),
)

#: What stands for a hoster's picture.
CODE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)

#: The pictures that the documents show.
FOR_DOCS = {
    *("converter", "mod", "mods", "release", "run", "script", "tasks"),
    *("watch", "watch-dark", "watch-phone", "watch-succeeded"),
}
#: Of these all that the page holds is shown, not only the window.
WHOLE = ("watch", "mod", "account", "run", "script")


def main() -> int:
    everything = len(sys.argv) > 1
    folder = Path(sys.argv[1]) if everything else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        redis = RedisServer(Path(data))
        redis.start()
        try:
            with Site(Path(data), redis.url, server_side_scripting_bin_dirs=(str(ROOT / "examples/scripts"),)) as site:
                fill(site, Path(data))
                take_all(site, folder, everything)
        finally:
            redis.stop()
    return 0


def take_all(site: Site, folder: Path, everything: bool) -> None:
    jobs = {
        "succeeded": scenes.succeeded(site.engine),
        "failed": scenes.failed(site.engine),
        "cancelled": scenes.cancelled(site.engine),
        "asking": scenes.asking(site.engine, CODE),
        "running": scenes.running(site.engine),
    }
    scenes.remember_sizes(site.settings)
    more_tasks(site)
    jobs["run"] = play_script(site)
    with chromium() as browser:
        for look, window, scheme in LOOKS:
            visit = Visit(browser, site.url, viewport=window, color_scheme=scheme, reduced_motion="reduce")
            for name, take in PAGES.items():
                if not everything and name + look not in FOR_DOCS:
                    continue
                take(visit, jobs)
                height = visit.page.evaluate("document.documentElement.scrollHeight")
                if name.startswith(WHOLE):
                    # The whole page in the window: what is outside of it is not drawn.
                    visit.page.set_viewport_size({"width": window["width"], "height": height})
                visit.page.screenshot(path=folder / f"{name}{look}.png")
                visit.page.set_viewport_size(window)
            for trouble in visit.troubles:
                print(trouble, file=sys.stderr)
            visit.close()


def fill(site: Site, folder: Path) -> None:
    """Publish mods, and count some downloads."""
    database = Database(site.settings)
    publisher = Publisher(site.settings, database, site.engine)
    publish_mods(publisher, folder)
    publisher.tracking.count([Report(Event.DOWNLOAD, "starlit-passage", "1.2.0")] * 1234)
    database.close()
    # What publishing has asked the workers for is not what the pictures of tasks are about.
    site.engine.redis.flushall()


def more_tasks(site: Site) -> None:
    for number, title in enumerate(("Copper Tide 3.1", "Northern Gate 0.4.2", "Quiet Orbit 1.0.0")):
        job = PlayedJob(site.engine, title)
        if number == 0:
            site.engine.cancel(job.ticket, "Cancelled on its page.")
        if number == 1:
            job.start().progress(0.82, "Reading northern-gate.7z")


def play_script(site: Site) -> PlayedJob:
    """olga runs the example."""
    database = Database(site.settings)
    try:
        olga = Accounts(database).find("olga")
        assert olga is not None
        return play_run(Scripting(site.settings, database, site.engine), site.engine, "handle_csv.py", olga)
    finally:
        database.close()


def start(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/")


def converter(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/converter")
    for button in visit.page.get_by_role("button", name="Start with an empty one").all():
        button.click()
    visit.page.get_by_role("button", name="Insert example").click()
    visit.page.get_by_text("Well-formed JSON").wait_for()


def converter_errors(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    converter(visit, jobs)
    field = visit.page.locator("#data")
    field.fill(field.input_value().replace('"1.2.0"', '"next week"').replace('"required"', '"needed"'))
    visit.page.fill("#passwd", "key-of-the-tests")
    visit.page.get_by_role("button", name="Package this mod").click()
    visit.page.get_by_text("to put right").wait_for()


def watch(state: str, text: str) -> Take:
    def take(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
        job = jobs[state]
        visit.page.goto(f"/watch/{job.ticket}?token={job.token}")
        visit.page.get_by_text(text).first.wait_for()
        visit.page.locator(".log-line").first.wait_for()
        for folder in ("missions/", "data/"):
            for row in visit.page.locator("summary", has_text=folder).all()[:1]:
                row.click()

    return take


def mods(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/mods")
    show_pictures(visit)


def mod(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/mods/starlit-passage")
    visit.page.get_by_text("5,000 installed files").click()
    visit.page.get_by_label("Find a file").wait_for()
    visit.page.locator(".tree summary").first.click()
    show_pictures(visit)


def withdrawn(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/mods/starlit-passage/1.1.0")
    show_pictures(visit)


def show_pictures(visit: Visit) -> None:
    """Load the pictures that are out of the window, too."""
    visit.page.evaluate(
        """Promise.all([...document.images].map((image) => {
          image.loading = "eager";
          return image.decode();
        }))"""
    )


def register(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/register")
    visit.page.fill("#name", "no name")
    visit.page.fill("#email", "dora@example.org")
    visit.page.fill("#password", PASSWORD)
    visit.page.get_by_role("main").get_by_role("button", name="Register").click()
    visit.page.locator(".field-error").wait_for()


def account(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    tasks(visit, jobs)
    visit.page.goto("/account")
    visit.page.locator("summary", has_text="olga").click()


def audit(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/audit")


def login(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    visit.page.goto("/login")


def log_in(visit: Visit, name: str, target: str) -> None:
    visit.page.goto(f"/login?next={target}")
    visit.page.fill("#name", name)
    visit.page.fill("#password", PASSWORD)
    visit.page.get_by_role("main").get_by_role("button", name="Log in").click()


def owned(path: str, text: str) -> Take:
    """A page of those who publish."""

    def take(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
        log_in(visit, "dora", path)
        visit.page.get_by_text(text).first.wait_for()
        show_pictures(visit)

    return take


def release(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    """The form of a release after the server has found problems."""
    page = visit.page
    log_in(visit, "dora", "/publish/northern-gate/release")
    page.locator("[data-package]").wait_for()
    page.fill("[data-path=version]", "0.5")
    page.fill("[data-path=videos]", "https://video.example.org/northern-gate\nvideo.example.org/second")
    page.fill("[data-field=environment]", "windows && (sse2 ||")
    page.get_by_role("button", name="Only check it").click()
    page.locator("[data-report-list] li").first.wait_for()
    page.locator(".sticky-actions").scroll_into_view_if_needed()


def script(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    """A script's form, half filled in, after a press of its button."""
    page = visit.page
    log_in(visit, "olga", "/scripts/handle_csv.py")
    page.fill("#f-title", "Harbour water, second week")
    page.set_input_files("#f-table", {"name": "harbour.csv", "mimeType": "text/csv", "buffer": b"sample,value"})
    page.fill("#f-day", "2024-05-31")
    for name, factor in (("brine-01", "1.5"), ("harbour-east", "a half")):
        page.get_by_role("button", name="Add to Samples").click()
        page.keyboard.type(name)
        page.keyboard.press("Tab")
        page.keyboard.type(factor)
    page.get_by_role("button", name="Summarise").last.click()
    page.locator(".field-error").first.wait_for()


def run(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    log_in(visit, "olga", "/scripts")
    visit.page.goto(f"/watch/{jobs['run'].ticket}")
    visit.page.get_by_text("harbour-west").first.wait_for()
    visit.page.locator(".log-line").first.wait_for()


def scripts(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    log_in(visit, "olga", "/scripts")
    visit.page.get_by_text("Summarise a table").wait_for()


def runs(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    log_in(visit, "olga", "/runs")
    visit.page.get_by_text("handle_csv.py").wait_for()


def tasks(visit: Visit, jobs: dict[str, PlayedJob]) -> None:
    log_in(visit, "olga", "/tasks")
    visit.page.locator("tbody tr").first.wait_for()
    visit.page.mouse.move(0, 0)


PAGES: dict[str, Take] = {
    "start": start,
    "mods": mods,
    "mod": mod,
    "mod-withdrawn": withdrawn,
    "register": register,
    "converter": converter,
    "converter-errors": converter_errors,
    "watch": watch("running", "Downloading and reading"),
    "watch-failed": watch("failed", "could not be downloaded"),
    "watch-cancelled": watch("cancelled", "This task was cancelled"),
    "watch-asking": watch("asking", "A file hoster asks for a code"),
    "watch-succeeded": watch("succeeded", "Voice acting"),
    "login": login,
    "publish": owned("/publish", "Make a new mod"),
    "publish-mod": owned("/publish/starlit-passage", "Webhooks"),
    "release": release,
    "scripts": scripts,
    "script": script,
    "run": run,
    "runs": runs,
    "tasks": tasks,
    "account": account,
    "audit": audit,
}

if __name__ == "__main__":
    sys.exit(main())
