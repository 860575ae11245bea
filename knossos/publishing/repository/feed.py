"""What changed since a change or a time, for those who keep a copy of the repository.

Owns the answer's contents and its pages. A release that is offered comes whole; one that is not any more comes as its
id and version, and only where everybody could once see it. Whoever goes on from ``change`` misses nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from knossos.errors import InvalidInput
from knossos.publishing.changes import is_undone, last_change
from knossos.publishing.documents import full_mod
from knossos.publishing.errors import Refused
from knossos.publishing.repository.entries import changed_since, encoded
from knossos.publishing.tables import Release

#: Bytes of mods after which a page ends, and how many releases it looks at: those that nobody may see cost as well.
PAGE_BYTES = 4 * 1024 * 1024
PAGE_RELEASES = 2000

#: The highest number of a change.
MOST = 2**63 - 1


@dataclass
class Page:
    """``mods`` are JSON already. ``change`` is where to go on from; ``more``: whether there is more by now."""

    change: int
    more: bool = False
    mods: list[bytes] = field(default_factory=list)
    removed: list[dict[str, str]] = field(default_factory=list)


def changes_since(session: Session, since: int, base: str) -> Page:
    """The next page of what changed after the change ``since``.

    Raises:
        Refused: there is no such change, or it was undone by a restored backup: the caller's copy is of another past
            and must be fetched anew.
    """
    page = Page(change=last_change(session))
    if since > page.change or is_undone(session, since):
        raise Refused(f"There is no change {since}: fetch the repository anew.", reason="unknown change")
    size = count = 0
    cursor = since
    for changed in changed_since(session, since):
        # Releases of one change are never divided: the next page starts above a change.
        if changed.change > cursor and (size > PAGE_BYTES or count >= PAGE_RELEASES):
            page.change, page.more = cursor, True
            return page
        cursor, count = changed.change, count + 1
        if changed.document is not None:
            page.mods.append(encoded(full_mod(changed.document, base)))
            size += len(page.mods[-1])
        elif changed.once_offered:
            page.removed.append({"id": changed.mod_id, "version": changed.version})
    page.change = max(page.change, cursor)
    return page


def change_at(session: Session, since: str) -> int:
    """The change that ``since`` means: its number, or the last one before a time.

    Args:
        since: a number, ``YYYY-MM-DD`` (its beginning in UTC) or a time of RFC 3339.

    Raises:
        InvalidInput: it is none of these.
    """
    if re.fullmatch(r"[0-9]{1,19}", since) and int(since) <= MOST:
        return int(since)
    moment = _moment(since)
    first = session.scalar(select(func.min(Release.change)).where(Release.updated_at >= moment))
    return last_change(session) if first is None else first - 1


def _moment(text: str) -> float:
    form = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2}))?"
    try:
        if not re.fullmatch(form, text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text.upper())
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidInput.at(
            "since", "expected the number of a change, a day such as 2026-01-31 or a time such as 2026-01-31T12:00:00Z"
        ) from error
