"""Write conf/settings.py.dist from knossos/settings.py, where each setting's meaning, unit and default stand."""

from __future__ import annotations

import re

from knossos.settings import ROOT, Settings

SOURCE = ROOT / "knossos" / "settings.py"
TEMPLATE = ROOT / "conf" / "settings.py.dist"

HEAD = """\
# Settings of the Knossos server: copy this file to conf/settings.py and uncomment what is to differ.
# It is Python, one NAME = value a line. A name that is not listed here is refused. Relative paths are below
# the project's folder. The environment variable KNOSSOS_SETTINGS names another file; KNOSSOS_DATA, REDIS,
# WORKERS, LOG_FORMAT and KNOSSOS_ADMIN_PASSWORD win over DATA_PATH, REDIS, WORKERS, LOG_FORMAT and
# ADMIN_PASSWORD. Times are in seconds, sizes in bytes.
"""

UNITS = {"GIB": "1024**3", "MIB": "1024**2"}


def text() -> str:
    """The template as it should be."""
    lines = [HEAD.rstrip()]
    explaining = False
    fields = SOURCE.read_text("utf-8").partition("class Settings(")[2].partition("@field_validator")[0]
    for line in map(str.strip, fields.splitlines()):
        if line.startswith("# ---"):
            lines += ["", line]
            explaining = False
        elif line.startswith("#: "):
            if not explaining:
                lines.append("")
            lines.append("## " + line[3:].replace("<data_path>", "<DATA_PATH>").replace("``", ""))
            explaining = True
        elif (match := re.match(r"(\w+): .+? = (.+)$", line)) and match[1] in Settings.model_fields:
            lines.append(f"# {match[1].upper()} = {_default(match[1], match[2])}")
            explaining = False
    return "\n".join(lines) + "\n"


def _default(name: str, source: str) -> str:
    """The default as an operator would write it: as it stands in the source, where that is an expression."""
    if name == "data_path":
        return '"var"'
    if source.startswith("Field("):
        default = Settings.model_fields[name].get_default(call_default_factory=True)
        return f'"{default}"' if isinstance(default, str) else repr(default)
    return re.sub("|".join(UNITS), lambda unit: UNITS[unit[0]], source)


if __name__ == "__main__":
    TEMPLATE.write_text(text(), "utf-8")
