"""Where PostgreSQL's programs are, for whoever asks before anything is imported that only tests have."""

from __future__ import annotations

import shutil
from pathlib import Path


def programs_folder() -> Path | None:
    """Their folder; None where PostgreSQL is not installed. Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None
