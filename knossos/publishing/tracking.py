"""Counters of what players do with mods, as old clients report it: by mod, version, day and event.

Clients report in two forms. One names a ``counter``, a mod and its version, and whether it came as a dependency of
another; the other an ``event``, the ``link`` of a file, and how long it took (which is not kept). A link counts to the
newest release that has the file. Reports come from anybody: what speaks of no published release is ignored, clients'
words for events come down to a few, and nobody should conclude more from these numbers than an order of magnitude.

What counts as a download: a report whose name has "install", "download" or "update" in it (and is no uninstall),
whether the player chose the mod or another one needed it. For each, a version's files have come to a player's machine.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from knossos.accounts import throttle
from knossos.database import Database, insert_into
from knossos.publishing.documents import FILES_ROUTE
from knossos.publishing.tables import BlobUse, Release, TrackCount

#: Reports of one address that count in a window, and seconds of that window.
REPORTS_PER_ADDRESS = 300
WINDOW_SECONDS = 900.0

_STORED_FILE = re.compile(rf"{re.escape(FILES_ROUTE)}/([0-9a-f]{{64}})/")


class Event(StrEnum):
    """What happened, as it is counted."""

    #: The player chose to have it.
    DOWNLOAD = "download"
    #: It came because something else needs it.
    DEPENDENCY = "dependency"
    UNINSTALL = "uninstall"
    LAUNCH = "launch"
    #: All else that clients report.
    OTHER = "other"


#: Those that are shown as downloads.
DOWNLOADS = (Event.DOWNLOAD, Event.DEPENDENCY)


@dataclass(frozen=True)
class Report:
    """What one client reports of one mod."""

    event: Event
    mod_id: str
    version: str


def event_of(name: str, dependency: bool = False) -> Event:
    """What a client's word for an event or a counter stands for."""
    name = name.lower()
    if "uninstall" in name:
        return Event.UNINSTALL
    if any(word in name for word in ("install", "download", "update")):
        return Event.DEPENDENCY if dependency else Event.DOWNLOAD
    return Event.LAUNCH if any(word in name for word in ("launch", "play", "start")) else Event.OTHER


class Tracking:
    """``clock`` gives Unix time in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def count(self, reports: Iterable[Report], address: str = "") -> None:
        """Count reports of published releases, and pass over others, and those of an address that sends too many."""
        wanted = Counter(reports)
        if not wanted:
            return
        day = time.strftime("%Y-%m-%d", time.gmtime(self._clock()))
        try:
            with self._database.session() as session:
                if address:
                    limit = throttle.of_address(address, REPORTS_PER_ADDRESS, "track")
                    throttle.count(session, [limit], WINDOW_SECONDS)
                known = _published(session, {report.mod_id for report in wanted})
                rows = [
                    {
                        "event": report.event,
                        "mod_id": report.mod_id,
                        "version": report.version,
                        "day": day,
                        "count": times,
                    }
                    for report, times in sorted(wanted.items(), key=lambda item: (item[0].mod_id, item[0].version))
                    if (report.mod_id, report.version) in known
                ]
                if rows:
                    _add(session, rows)
        except throttle.TooManyTries:
            return

    def release_of_link(self, link: str) -> tuple[str, str] | None:
        """Mod and version of the newest release that has the file that a link of this server stands for."""
        found = _STORED_FILE.search(link)
        if found is None:
            return None
        with self._database.reading() as session:
            uses = select(BlobUse.key).where(BlobUse.sha256 == found[1], BlobUse.kind == "release")
            numbers = [int(key) for key in session.scalars(uses) if key.isdigit()]
            release = session.get(Release, max(numbers)) if numbers else None
            return (release.mod_id, release.version) if release else None

    def downloads(self, mod_id: str) -> dict[str, int]:
        """How often each version of a mod was downloaded; a version that never was is not there."""
        with self._database.reading() as session:
            statement = (
                select(TrackCount.version, func.sum(TrackCount.count))
                .where(TrackCount.mod_id == mod_id, TrackCount.event.in_(DOWNLOADS))
                .group_by(TrackCount.version)
            )
            return {version: int(count) for version, count in session.execute(statement)}


def _published(session: Session, mod_ids: set[str]) -> set[tuple[str, str]]:
    statement = select(Release.mod_id, Release.version).where(Release.mod_id.in_(mod_ids), Release.state == "published")
    return {(mod_id, version) for mod_id, version in session.execute(statement)}


def _add(session: Session, rows: list[dict[str, object]]) -> None:
    statement = insert_into(session, TrackCount).values(rows)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[TrackCount.event, TrackCount.mod_id, TrackCount.version, TrackCount.day],
            set_={"count": TrackCount.count + statement.excluded["count"]},
        )
    )
