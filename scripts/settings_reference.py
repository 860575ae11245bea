"""Write docs/settings.md from the Settings object: each setting with its default, what it may be and what it is for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from knossos.settings import ROOT, Settings
from knossos.settings_file import VARIABLES
from scripts import settings_template

DOCUMENT = ROOT / "docs" / "settings.md"
#: Sizes in bytes whose names do not say so.
_BYTES = ("MAX_CONTENT_LENGTH",)
#: What an operator would type, in an explanation.
_EXAMPLE = re.compile(
    r"\(\{.*?\},\)|\{.*?\}|\([\"'].*?\)|<DATA_PATH>/\w+(?:\.\w+)*|/(?:\w+/)?<sha1>/|\"[^\"]*\"|[a-z0-9+]+://[^\s,;)]*"
)

HEAD = """\
# Settings

Every setting, as `knossos/settings.py` has it; `make template` writes this page and
[`conf/settings.py.dist`](../conf/settings.py.dist) anew. Settings stand in `conf/settings.py`, or in the file that the
environment variable `KNOSSOS_SETTINGS` names: Python, one `NAME = value` a line, with what differs from the defaults. A
name that is not listed here is refused, and so is a value that may not be: the message names the setting, and the exit
code is 2. Relative paths are below the project's folder; times are in seconds, sizes in bytes. A process reads its
settings once, when it starts.

These environment variables win over the settings file:

| variable | over |
|---|---|
"""


@dataclass
class Group:
    """Settings that stand together in knossos/settings.py."""

    title: str
    #: Those which share one explanation, with it.
    parts: list[Part] = field(default_factory=list)


@dataclass
class Part:
    about: str = ""
    #: Names with their defaults, as an operator would write them.
    settings: list[tuple[str, str]] = field(default_factory=list)


def groups() -> list[Group]:
    """All settings, read from the template, which has them in their groups."""
    found: list[Group] = []
    part = Part()
    for line in settings_template.text().splitlines():
        if title := re.fullmatch(r"# --- (.+?) -+", line):
            found.append(Group(title[1]))
        elif line.startswith("## "):
            if part.settings or not part.about:
                part = Part()
                found[-1].parts.append(part)
            part.about = f"{part.about} {line[3:]}".strip()
        elif found and (setting := re.fullmatch(r"# ([A-Z0-9_]+) = (.+)", line)):
            part.settings.append((setting[1], setting[2]))
    return found


def text() -> str:
    """The page as it should be."""
    lines = [HEAD + "".join(f"| `{one}` | `{name.upper()}` |\n" for one, name in VARIABLES.items())]
    for group in groups():
        title = f"{group.title[0].upper()}{group.title[1:]}"
        lines.append(f"\n## {title}\n\n| setting | default | what it may be | what it is for |\n|---|---|---|---|\n")
        for part in group.parts:
            lines += [f"| {_named(name, default)} | {_words(part.about)} |\n" for name, default in part.settings]
    return "".join(lines)


def _named(name: str, default: str) -> str:
    kind = Settings.model_fields[name.lower()].description or ""
    unit = " seconds" if "of seconds" in kind else " bytes" if name.endswith("_BYTES") or name in _BYTES else ""
    return f"`{name}` | `{default}`{unit} | {_escaped(_EXAMPLE.sub(_as_code, kind))}"


def _words(about: str) -> str:
    """An explanation in Markdown: examples of values, and addresses, as code."""
    return _escaped(_EXAMPLE.sub(_as_code, about))


def _as_code(found: re.Match[str]) -> str:
    return f"`{found[0]}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(text(), "utf-8")
