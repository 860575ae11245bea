"""What homes tidy once a day. What people keep there is theirs and stays."""

from __future__ import annotations

from knossos.homes.homes import Homes
from knossos.settings import Settings


def tidy(settings: Settings) -> list[tuple[str, int]]:
    """Remove what is stale, and answer in words what it was and how much."""
    return [("unfinished uploads to homes, and rests of what was removed there", Homes(settings).tidy())]
