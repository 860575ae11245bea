"""Write the table of the settings of scripts in docs/scripts.md from knossos/settings.py: names, defaults, values."""

from __future__ import annotations

import re

from knossos.settings import ROOT, Settings
from scripts import settings_template

DOCUMENT = ROOT / "docs" / "scripts.md"
#: The table stands between this line and the next empty one, or the end.
HEAD = "| setting | default | what it may be |\n|---|---|---|\n"


def table() -> str:
    """The table as it should be."""
    rows, counts = "", False
    for line in settings_template.text().splitlines():
        if line.startswith("# ---"):
            counts = line.startswith("# --- scripts:")
        elif counts and (found := re.fullmatch(r"# (\w+) = (.+)", line)):
            about = Settings.model_fields[found[1].lower()].description
            rows += f"| `{found[1]}` | `{found[2]}` | {about} |\n"
    return HEAD + rows


def text() -> str:
    """The document as it should be."""
    before, _, after = DOCUMENT.read_text("utf-8").partition(HEAD)
    rest = after.partition("\n\n")[2]
    return before + table() + (f"\n{rest}" if rest else "")


if __name__ == "__main__":
    DOCUMENT.write_text(text(), "utf-8")
