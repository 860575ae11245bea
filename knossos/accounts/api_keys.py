"""API keys: the ones of the setting API_KEYS, else the one that was generated at the first start.

A key's index is part of the drop links that clients make, so the order of API_KEYS matters.
"""

from __future__ import annotations

import hmac

from knossos.accounts.secret_files import read_or_create
from knossos.settings import Settings

KEY_FILE = "api_key"


def api_keys(settings: Settings) -> tuple[str, ...]:
    """All keys that are good, in the order of their indices."""
    if settings.api_keys:
        return settings.api_keys
    try:
        key = (settings.data_path / KEY_FILE).read_text("ascii").strip()
    except FileNotFoundError:
        return ()
    return (key,) if key else ()


def generate_api_key(settings: Settings) -> str | None:
    """Make a key where API_KEYS is empty and none was generated before; it is returned only when it is new."""
    if settings.api_keys:
        return None
    key, is_new = read_or_create(settings.data_path / KEY_FILE)
    return key if is_new else None


def find_api_key(settings: Settings, candidate: str) -> int | None:
    """The index of that key, or None. Takes the same time whichever key matches, or none."""
    wanted = candidate.encode("utf-8", "surrogatepass")
    found = None
    for index, key in enumerate(api_keys(settings)):
        if hmac.compare_digest(key.encode(), wanted) and found is None:
            found = index
    return found
