"""The pictures of the documents: each is taken by ``make screenshots``, and each is shown by a page."""

from __future__ import annotations

import re

from knossos.settings import ROOT
from scripts.screenshots import FOR_DOCS


def test_every_picture_that_is_taken_is_kept_and_shown_by_a_page() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/([a-z-]+)\.png\)", page.read_text())}
    kept = {picture.stem for picture in (ROOT / "docs" / "images").glob("*.png")}
    assert shown == kept == FOR_DOCS
