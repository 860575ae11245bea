"""Take the pictures of docs/images anew; given another folder, of every page, wide and narrow, light and dark.

Run by ``make screenshots``. What they show, and how one comes to it, is what the tests in the browser look at:
`tests.support.tour`. Each is a PNG with a palette, as small as that makes it.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Page, ViewportSize

from knossos.settings import ROOT
from tests.support.browser import chromium
from tests.support.redis_server import RedisServer
from tests.support.tour import STOPS, Visitors
from tests.support.tour_world import World, tour_world

#: End of the name, window and colour scheme of each kind of picture.
LOOKS: tuple[tuple[str, ViewportSize, Literal["light", "dark"]], ...] = (
    ("", {"width": 1280, "height": 860}, "light"),
    ("-dark", {"width": 1280, "height": 860}, "dark"),
    ("-phone", {"width": 360, "height": 740}, "light"),
    ("-phone-dark", {"width": 360, "height": 740}, "dark"),
)

#: The pictures that the documents show.
FOR_DOCS = {
    *("converter", "mod", "mods", "release", "run", "script"),
    *("watch", "watch-succeeded"),
    *("home", "home-table", "job-live", "job-new", "jobs"),
    *("calculation", "calculation-dark", "schedules", "users", "operator"),
}
#: Of these all that the page holds is shown, not only the window.
WHOLE = {"watch", "watch-succeeded", "mod", "account", "run", "script", "job-live", "home", "operator"}

#: What pictures call the folder with the data, which is a temporary one here.
INSTALLED = "/var/lib/knossos"
_RENAME = """([from, to]) => {
  const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) walker.currentNode.data = walker.currentNode.data.replaceAll(from, to);
}"""

#: Colours of a picture. Pages have few, and shades of them at the edges of letters.
COLOURS = 256


def main() -> int:
    everything = len(sys.argv) > 1
    folder = Path(sys.argv[1]) if everything else ROOT / "docs" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        # Scripts are other users in their sandbox, and have to come through.
        Path(data).chmod(0o755)
        redis = RedisServer(Path(data))
        redis.start()
        try:
            with tour_world(Path(data), redis.url) as world:
                return take_all(world, folder, everything)
        finally:
            redis.stop()


def take_all(world: World, folder: Path, everything: bool) -> int:
    with chromium() as browser:
        visitors = Visitors(browser, world)
        for name, stop in STOPS.items():
            looks = [look for look in LOOKS if everything or name + look[0] in FOR_DOCS]
            if not looks:
                continue
            page = visitors.visit(stop.who).page
            for number, (look, window, scheme) in enumerate(looks):
                page.set_viewport_size(window)
                page.emulate_media(color_scheme=scheme)
                if number == 0:
                    stop.go(page, world)
                    page.evaluate(_RENAME, [str(world.site.settings.data_path), INSTALLED])
                take(page, window, folder / f"{name}{look}.png", whole=everything or name in WHOLE)
        troubles = visitors.close()
    for trouble in troubles:
        print(trouble, file=sys.stderr)
    return 1 if troubles else 0


def take(page: Page, window: ViewportSize, path: Path, *, whole: bool) -> None:
    """Write a picture, of the window or of all that the page holds."""
    if whole:
        page.evaluate("window.scrollTo(0, 0)")
        # The whole page in the window: what is outside of it is not drawn.
        height = min(page.evaluate("document.documentElement.scrollHeight"), 4000)
        page.set_viewport_size({"width": window["width"], "height": max(height, window["height"])})
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
    page.set_viewport_size(window)


if __name__ == "__main__":
    sys.exit(main())
