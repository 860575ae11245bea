"""The folder that is put on the PYTHONPATH of scripts: the helper, and `six` beside it.

Owns that folder, and what lies in it: copies, so that it holds nothing else of the server's, and so that it can be
shown to a sandbox as it is.
"""

from __future__ import annotations

import os
import secrets
from importlib.util import find_spec
from pathlib import Path

from knossos.errors import MissingDependency

#: Where the helper lies in this tree. No package: its files are for scripts, and nothing here imports them.
SOURCE = Path(__file__).parent / "helper"


def provide(folder: Path) -> Path:
    """Make the folder, or bring it up to date; several processes may at once. Answers the folder.

    Raises:
        MissingDependency: `six` is not installed.
    """
    spec = find_spec("six")
    if spec is None or spec.origin is None:
        raise MissingDependency("The Python package six is missing: scripts need it.", needed="six")
    folder.mkdir(parents=True, exist_ok=True)
    for source in (*sorted(SOURCE.glob("*.py")), Path(spec.origin)):
        content, target = source.read_bytes(), folder / source.name
        if target.is_file() and target.read_bytes() == content:
            continue
        fresh = folder / f".{source.name}.{secrets.token_hex(8)}"
        fresh.write_bytes(content)
        os.replace(fresh, target)
    return folder
