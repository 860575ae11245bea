"""What lists show of a mod: the release that stands for it, and the text that is searched.

Kept in the mod's row, so that searching thousands of mods reads no release.
"""

from __future__ import annotations

import json

from sqlalchemy import select
from sqlalchemy.orm import Session

from knossos.publishing.offering import PUBLISHED
from knossos.publishing.tables import Mod, Release
from knossos.publishing.versions import comparable

#: Characters of a description that are searched.
MAX_SEARCHED_CHARS = 4000


def search_text(mod_id: str, title: str, description: str) -> str:
    """What lists are searched for. Only the beginning of a long description counts."""
    return "\n".join((mod_id, title, description[:MAX_SEARCHED_CHARS])).lower()


def update_listing(session: Session, mod_id: str, now: float | None = None) -> None:
    """Choose the release that stands for a mod anew, after one of them changed: the newest that is public, one that was
    not yanked before one that was. ``now``: when that was, for lists by time."""
    mod = session.get_one(Mod, mod_id)
    query = select(Release.id, Release.version, Release.yanked_at, Release.updated_at).where(
        Release.mod_id == mod_id, Release.state == PUBLISHED, Release.private.is_(False)
    )
    rows = session.execute(query).all()
    newest = max(rows, key=lambda row: (row[2] is None, comparable(row[1])), default=None)
    mod.listed_id = None if newest is None else newest[0]
    description = ""
    if mod.listed_id is not None:
        text = session.scalar(select(Release.document).where(Release.id == mod.listed_id))
        description = json.loads(text or "{}").get("description", "")
        mod.updated_at = now or mod.updated_at
    mod.search_text = search_text(mod.id, mod.title, description)
