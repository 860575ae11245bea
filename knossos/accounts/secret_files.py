"""Secrets that the server makes for itself and keeps as files, readable only by the account that runs it.

A secret file is there completely or not at all, and is never replaced: processes that start at the same
moment all end up with the same one.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from knossos.settings import Settings

#: Random bytes in a generated secret.
SECRET_BYTES = 32


def read_or_create(path: Path) -> tuple[str, bool]:
    """The secret in that file, made when there is none yet; and whether this call made it."""
    try:
        return path.read_text("ascii").strip(), False
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, fails when another process was faster.
        os.link(temporary, path)
    except FileExistsError:
        return path.read_text("ascii").strip(), False
    finally:
        os.unlink(temporary)
    return secret, True


def secret_key(settings: Settings) -> str:
    """The key that signs sessions and tokens: SECRET_KEY, else one that is made on first use."""
    return settings.secret_key or read_or_create(settings.data_path / "secret_key")[0]
