"""Debian's Chromium, driven by Playwright: nothing but loopback, and a page that notes everything that went wrong.

Its headless shell, where that is installed: the same engine without windows, menus and extensions around it, which
needs less than half of the time.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.support.people import PASSWORD
from tests.support.system import program

#: Milliseconds after which something that is waited for counts as hanging; no measure of speed.
PATIENCE_MILLISECONDS = 45_000

OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that is no loopback address, so that the browser trusts it as little as any other site.
    "--host-resolver-rules=MAP knossos.test 127.0.0.1",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium-headless-shell") or program("chromium")
    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()


class Visit:
    """One visitor's window. ``troubles`` is every script error, refused load, and request to another server."""

    def __init__(self, browser: Browser, base: str, **options: Any) -> None:
        self.base = base
        self.troubles: list[str] = []
        self.context: BrowserContext = browser.new_context(base_url=base, **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MILLISECONDS)
        self.page.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        self.page.on("console", lambda message: self._note(message.type, message.text))
        self.page.on("request", lambda request: self._check(request.url))
        self.page.on("websocket", lambda socket: self._check(socket.url))

    def _note(self, kind: str, text: str) -> None:
        if kind == "error" and "Failed to load resource" not in text and "WebSocket connection" not in text:
            self.troubles.append(f"console: {text}")

    def _check(self, url: str) -> None:
        host = url.split("://", 1)[-1].split("/", 1)[0].split(":", 1)[0]
        if not url.startswith(("data:", "blob:")) and host not in ("127.0.0.1", "knossos.test"):
            self.troubles.append(f"left the server: {url}")

    def close(self) -> None:
        self.context.close()

    def leave(self) -> None:
        """Close it, and see that nothing went wrong meanwhile."""
        self.close()
        assert self.troubles == []

    def log_in(self, name: str, to: str) -> None:
        """Log in with the password of `people`, on the way to a page."""
        self.page.goto(f"/login?next={to}")
        self.page.fill("#name", name)
        self.page.fill("#password", PASSWORD)
        self.page.get_by_role("main").get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"**{to}")


def sideways(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width


#: Controls that are cut by the window, or that something else lies over, each in words.
_UNTOUCHABLE = """() => {
  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  const scrolls = (node) => /auto|scroll/.test(getComputedStyle(node).overflowX);
  const wrong = [];
  for (const node of document.querySelectorAll(controls)) {
    // What nobody sees: a field in a button of its own is touched there, and a skipping link comes with the focus.
    if (!node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || node.closest(".skip-link")) {
      continue;
    }
    const shown = node.closest("label") ?? node;
    shown.scrollIntoView({ block: "center", inline: "nearest" });
    const box = shown.getClientRects()[0];
    if (!box || box.width < 2 || box.height < 2) continue;
    const name = shown.outerHTML.slice(0, 120);
    let parent = shown.parentElement;
    while (parent && !scrolls(parent)) parent = parent.parentElement;
    if (!parent && (box.left < 0 || box.right > innerWidth + 1)) wrong.push(`cut: ${name}`);
    const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const dialog = document.querySelector("dialog[open]");
    if (dialog && !dialog.contains(shown)) continue;
    const above = at?.closest(".sticky-actions, .home-selection");
    if (at && !above && !shown.contains(at) && !at.contains(shown)) {
      wrong.push(`covered by ${at.outerHTML.slice(0, 120)}: ${name}`);
    }
  }
  window.scrollTo(0, 0);
  return wrong;
}"""


def touchable(page: Page) -> list[str]:
    """The controls that cannot be touched as they should: cut, or covered by something else."""
    wrong: list[str] = page.evaluate(_UNTOUCHABLE)
    return wrong


#: What axe checks that depends on colours: the rest is the same in the dark.
_OF_COLOURS = ["color-contrast", "link-in-text-block"]


def accessible(page: Page, scheme: str = "light") -> None:
    """See that axe finds nothing that keeps people out of a page, and no target that is too small to be touched; in the
    dark, nothing that cannot be made out there."""
    options = {"runOnly": _OF_COLOURS} if scheme == "dark" else {"rules": {"target-size": {"enabled": True}}}
    found = Axe().run(page, options=options)
    assert found.violations_count == 0, f"{page.url} in the {scheme}: {found.generate_report()}"
