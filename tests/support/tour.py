"""Every page of the site, and how to come to it: what the tests of access look at, and what pictures are taken of.

A stop is a page as one visitor sees it, empty, filled in or with something wrong. A page that no stop is at makes
``tests/acceptance/test_pages_tour.py`` fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Browser, Page

from tests.support.browser import Visit
from tests.support.people import PASSWORD
from tests.support.tour_world import World

Then = Callable[[Page], None]


@dataclass(frozen=True)
class Stop:
    """``who`` visits, "" for nobody who has logged in; ``path`` has the names of `World` in braces; ``then`` is what
    one does there."""

    endpoint: str
    path: str
    who: str = ""
    then: Then | None = None
    #: The HTTP status that it is answered with.
    status: int = 200

    def go(self, page: Page, world: World) -> None:
        answer = page.goto(self.path.format(jobs=world.jobs, runs=world.runs, ids=world.ids))
        assert answer is not None
        assert answer.status == self.status, f"{answer.url}: {answer.status}"
        if self.then is not None:
            self.then(page)
        settle(page)


def settle(page: Page) -> None:
    """Load the pictures out of the window, too, and let what moves come to rest."""
    page.evaluate(
        """Promise.all([...document.images].map((image) => {
          image.loading = "eager";
          return image.decode().catch(() => {});
        }))"""
    )
    page.mouse.move(0, 0)


class Visitors:
    """One window for each who visits, opened when it is first asked for."""

    def __init__(self, browser: Browser, world: World) -> None:
        self._browser, self._world = browser, world
        self._visits: dict[str, Visit] = {}

    def visit(self, who: str) -> Visit:
        if who not in self._visits:
            visit = Visit(
                self._browser,
                self._world.site.url,
                viewport={"width": 1280, "height": 860},
                color_scheme="light",
                reduced_motion="reduce",
                timezone_id="Europe/Berlin",
            )
            if who:
                visit.log_in(who, "/account")
            self._visits[who] = visit
        return self._visits[who]

    def close(self) -> list[str]:
        """Close them, and answer what went wrong in them."""
        for visit in self._visits.values():
            visit.close()
        return [trouble for visit in self._visits.values() for trouble in visit.troubles]


# --- what one does at a page -------------------------------------------------------------------------


def fill(*values: tuple[str, str], press: str = "", until: str = "") -> Then:
    """Fill in fields by their selectors, press a button by its name, and wait for a selector."""

    def then(page: Page) -> None:
        for selector, value in values:
            page.fill(selector, value)
        if press:
            page.get_by_role("main").get_by_role("button", name=press, exact=True).last.click()
        if until:
            page.locator(until).first.wait_for()

    return then


def see(*selectors: str) -> Then:
    """Wait until these are there to be seen."""

    def then(page: Page) -> None:
        for selector in selectors:
            page.locator(selector).first.wait_for()

    return then


def open_all(page: Page) -> None:
    """Fold out what is folded."""
    page.evaluate("document.querySelectorAll('main details').forEach((one) => { one.open = true; })")


def example(page: Page) -> None:
    for button in page.get_by_role("button", name="Start with an empty one").all():
        button.click()
    page.get_by_role("button", name="Insert example").click()
    page.get_by_text("Well-formed JSON").wait_for()


def bad_description(page: Page) -> None:
    example(page)
    field = page.locator("#data")
    field.fill(field.input_value().replace('"1.2.0"', '"next week"').replace('"required"', '"needed"'))
    page.fill("#passwd", "key-of-the-tests")
    page.get_by_role("button", name="Package this mod").click()
    page.get_by_text("to put right").wait_for()


def watched(page: Page) -> None:
    page.locator(".log-line").first.wait_for()
    for folder in ("missions/", "data/"):
        for row in page.locator("summary", has_text=folder).all()[:1]:
            row.click()


def mod_files(page: Page) -> None:
    page.get_by_text("5,000 installed files").click()
    page.get_by_label("Find a file").wait_for()
    page.locator(".tree summary").first.click()


def bad_release(page: Page) -> None:
    """The form of a release after the server has found problems."""
    page.locator("[data-package]").wait_for()
    page.fill("[data-path=version]", "0.5")
    page.fill("[data-path=videos]", "https://video.example.org/northern-gate\nvideo.example.org/second")
    page.fill("[data-field=environment]", "windows && (sse2 ||")
    page.get_by_role("button", name="Only check it").click()
    page.locator("[data-report-list] li").first.wait_for()
    page.locator(".sticky-actions").scroll_into_view_if_needed()


def half_filled(page: Page) -> None:
    """A script's form after a press of its button."""
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


def selected_files(page: Page) -> None:
    """Two entries chosen, one upload done and one that asks."""
    files = [{"name": name, "mimeType": "", "buffer": b"print(1)\n"} for name in ("new.py", "summarise.py")]
    page.set_input_files("[data-choose-files]", files)
    page.get_by_role("button", name="Skip: summarise.py").wait_for()
    for name in ("figures", "summarise.py"):
        page.get_by_role("checkbox", name=f"Choose {name}", exact=True).check()


def folder_chooser(page: Page) -> None:
    page.get_by_role("checkbox", name="Choose summarise.py", exact=True).check()
    page.locator("[data-act=move]").click()
    page.locator("[data-chooser-list] button, [data-chooser-list] li").first.wait_for()


def delete_files(page: Page) -> None:
    """As it is asked where the browser runs no scripts."""
    page.evaluate(
        """() => {
          const form = document.querySelector("[data-list]");
          const sent = form.cloneNode(true);
          sent.querySelectorAll("[name=name]").forEach((box, number) => { box.checked = number < 2; });
          const act = document.createElement("input");
          [act.type, act.name, act.value] = ["hidden", "do", "delete"];
          sent.append(act);
          document.body.append(sent);
          HTMLFormElement.prototype.submit.call(sent);
        }"""
    )
    page.get_by_role("link", name="Keep").wait_for()


def written_script(page: Page) -> None:
    page.get_by_label("Script", exact=True).fill(SCRIPT)


def bad_schedule(page: Page) -> None:
    page.get_by_label("Kind").select_option("home")
    page.get_by_label("Path in your home").fill("work/nothing.sh")
    page.get_by_label("Cron expression").fill("61 * * * *")
    page.locator("[data-preview] strong").wait_for()
    page.get_by_role("button", name="Make the schedule").click()
    page.get_by_role("alert").first.wait_for()


def delete_schedule(page: Page) -> None:
    """As it is asked where the browser runs no scripts."""
    page.evaluate("document.querySelector('form[action$=\"/delete\"]').submit()")
    page.get_by_role("heading", name="Delete").wait_for()


def new_token(page: Page) -> None:
    page.locator("details.menu summary").last.click()


SCRIPT = """# Draw the salinity of one station
import csv
import sys

station = sys.argv[1] if len(sys.argv) > 1 else "harbour-east"
with open("measurements/harbour.csv") as table:
    for row in csv.DictReader(table):
        if row["station"] == station:
            print(row["day"], "*" * int(10 * float(row["salinity"])))
"""
WATCH = "/watch/{{jobs[{0}].ticket}}?token={{jobs[{0}].token}}"


def watch(state: str, text: str) -> Stop:
    def then(page: Page) -> None:
        page.get_by_text(text).first.wait_for()
        watched(page)

    return Stop("pages.watch", WATCH.format(state), then=then)


PUBLIC: dict[str, Stop] = {
    "start": Stop("pages.start", "/"),
    "missing": Stop("pages.start", "/nothing-here", status=404),
    "mods": Stop("mod_pages.mods", "/mods"),
    "mods-none": Stop("mod_pages.mods", "/mods?q=nothing+like+this"),
    "mod": Stop("mod_pages.mod", "/mods/starlit-passage", then=mod_files),
    "mod-withdrawn": Stop("mod_pages.release", "/mods/starlit-passage/1.1.0"),
    "converter": Stop("pages.converter", "/converter", then=example),
    "converter-errors": Stop("pages.converter", "/converter", then=bad_description),
    "watch": watch("running", "1 of 4 files are read"),
    "watch-failed": watch("failed", "could not be downloaded"),
    "watch-cancelled": Stop(
        "pages.watch", WATCH.format("cancelled"), then=lambda page: page.get_by_text("was cancelled").first.wait_for()
    ),
    "watch-asking": watch("asking", "A file hoster asks for a code"),
    "watch-succeeded": watch("succeeded", "Voice acting"),
    "login": Stop("login.form", "/login"),
    "login-wrong": Stop(
        "login.form", "/login", then=fill(("#name", "x"), ("#password", "wrong"), press="Log in", until="[role=alert]")
    ),
    "register": Stop("account_pages.registration", "/register"),
    "register-errors": Stop(
        "account_pages.registration",
        "/register",
        then=fill(
            ("#name", "no name"), ("#email", "d@example.org"), ("#password", PASSWORD),
            press="Register", until=".field-error",
        ),
    ),
    "reset": Stop("account_pages.forgotten", "/reset"),
    "reset-choose": Stop("account_pages.choosing", "/reset/{ids[reset]}"),
    "reset-dead": Stop("account_pages.choosing", "/reset/nothing", status=404),
    "verify": Stop("account_pages.verification", "/verify/{ids[verify]}"),
    "verify-dead": Stop("account_pages.verification", "/verify/nothing", status=404),
    "api-docs": Stop("api_docs.docs", "/api/docs"),
    "log": Stop("log_pages.log", "/log/{ids[log]}"),
}  # fmt: skip

PERSONS: dict[str, Stop] = {
    "start-person": Stop("pages.start", "/", "dora"),
    "tasks-none": Stop("pages.tasks", "/tasks", "newt"),
    "account": Stop("account_pages.account", "/account", "dora"),
    "publish": Stop("owner_pages.own_mods", "/publish", "dora"),
    "publish-none": Stop("owner_pages.own_mods", "/publish", "newt"),
    "publish-mod": Stop("owner_pages.manage", "/publish/starlit-passage", "dora"),
    "release": Stop("owner_pages.release_form", "/publish/northern-gate/release", "dora", bad_release),
    "home": Stop("home_pages.files", "/home/", "dora"),
    "home-empty": Stop("home_pages.files", "/home/", "newt"),
    "home-uploads": Stop("home_pages.files", "/home/", "dora", selected_files),
    "home-move": Stop("home_pages.files", "/home/", "dora", folder_chooser),
    "home-delete": Stop("home_pages.files", "/home/", "dora", delete_files),
    "home-folder-empty": Stop("home_pages.files", "/home/empty", "dora"),
    "home-text": Stop("home_pages.files", "/home/summarise.py", "dora"),
    "home-table": Stop("home_pages.files", "/home/measurements/harbour.csv", "dora"),
    "home-picture": Stop("home_pages.files", "/home/figures/harbour.png", "dora"),
    "home-other": Stop("home_pages.files", "/home/archive.bin", "dora"),
    "home-link": Stop("home_pages.files", "/home/latest", "dora", status=403),
    "home-nothing": Stop("home_pages.files", "/home/nothing/at/all", "dora", status=404),
    "jobs": Stop("job_pages.jobs", "/jobs", "dora"),
    "jobs-none": Stop("job_pages.jobs", "/jobs", "newt"),
    "job-new": Stop("job_pages.new", "/jobs/new", "dora", written_script),
    "job-new-wrong": Stop("job_pages.new", "/jobs/new?file=archive.bin", "dora", status=400),
    "job-live": Stop("run_pages.run", "/runs/{runs[script live]}", "dora", see("[data-lines] > *")),
    "job-waits": Stop("run_pages.run", "/runs/{runs[script waits]}", "dora"),
    "job-done": Stop("job_pages.job", "/runs/{runs[script done]}", "dora", open_all),
    "job-failed": Stop("run_pages.run", "/runs/{runs[script failed]}", "dora"),
    "schedules": Stop("schedule_pages.schedules", "/schedules", "dora"),
    "schedules-none": Stop("schedule_pages.schedules", "/schedules", "newt"),
    "schedule": Stop("schedule_pages.schedule", "/schedules/{ids[schedule]}", "dora"),
    "schedule-new": Stop("schedule_pages.new", "/schedules/new", "dora"),
    "schedule-errors": Stop("schedule_pages.new", "/schedules/new", "dora", bad_schedule),
    "schedule-delete": Stop("schedule_pages.schedules", "/schedules", "dora", delete_schedule),
    "calculations": Stop("calculation_pages.calculations", "/calculations", "dora", see("[data-key]")),
    "calculation": Stop("run_pages.run", "/runs/{runs[calculation live]}", "dora", see("svg.plot .plot-dot")),
    "calculation-done": Stop("run_pages.run", "/runs/{runs[calculation done]}", "dora", see("svg.plot .plot-dot")),
    "calculation-failed": Stop("run_pages.run", "/runs/{runs[calculation failed]}", "dora"),
    "refused": Stop("user_pages.users", "/users", "dora", status=403),
}

OPERATORS: dict[str, Stop] = {
    "tasks": Stop("pages.tasks", "/tasks", "olga", see("tbody tr")),
    "scripts": Stop("script_pages.scripts", "/scripts", "olga"),
    "script": Stop("script_pages.script", "/scripts/handle_csv.py", "olga", half_filled),
    "run": Stop("pages.watch", "/watch/{jobs[run].ticket}", "olga", see(".log-line", "[data-lines] > *")),
    "runs": Stop("run_pages.runs", "/runs", "olga"),
    "runs-none": Stop("run_pages.runs", "/runs", "newt"),
    "users": Stop("user_pages.users", "/users", "olga"),
    "users-none": Stop("user_pages.users", "/users?q=nobody+here", "olga"),
    "user": Stop("user_pages.user", "/users/ada", "olga"),
    "user-new": Stop("user_pages.new", "/users/new", "olga"),
    "user-errors": Stop(
        "user_pages.new", "/users/new", "olga",
        fill(("#name", "no name"), ("#password", PASSWORD), press="Add the user", until=".field-error"),
    ),
    "user-remove": Stop("user_pages.removal", "/users/ada/remove", "olga"),
    "operator": Stop("operator_pages.overview", "/operator", "olga", see("[data-operator-feed][data-feed=live]")),
    "audit": Stop("account_pages.audit", "/audit", "olga"),
    "jobs-everyone": Stop("job_pages.jobs", "/jobs?of=everyone", "olga"),
}  # fmt: skip

STOPS: dict[str, Stop] = {**PUBLIC, **PERSONS, **OPERATORS}
