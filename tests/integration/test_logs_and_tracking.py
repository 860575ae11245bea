"""Uploaded logs and the clients' counters: bounded, whatever anybody sends; on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from knossos.accounts import throttle
from knossos.accounts.throttle import TooManyTries
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.publishing.errors import Refused
from knossos.publishing.logs import TRIES_PER_ADDRESS, Logs
from knossos.publishing.tables import Blob, BlobUse, Mod, Release, TrackCount
from knossos.publishing.tracking import REPORTS_PER_ADDRESS, Event, Report, Tracking, event_of
from knossos.setting_kinds import MIB
from knossos.settings import Settings

SETTINGS = Settings(log_page_lifetime=100, log_page_max_bytes=4 * MIB)


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_log_is_found_by_its_id_until_it_expires(database: Database) -> None:
    clock = Clock()
    logs = Logs(SETTINGS, database, clock)
    first, second = logs.add("a log"), logs.add("a log")
    assert first != second
    assert len(first) == 32
    clock.now += 99
    found = logs.find(first)
    assert found is not None
    assert found.text == "a log"
    assert logs.expire() == 0
    clock.now += 2
    assert logs.find(first) is None
    assert logs.expire() == 2
    assert logs.find("%") is None


def test_a_log_may_hold_any_bytes(database: Database) -> None:
    logs = Logs(SETTINGS, database)
    found = logs.find(logs.add(b"nul \0, not UTF-8 \xff\xfe, umlaut \xc3\xa4\r\n"))
    assert found is not None
    assert found.text == "nul \ufffd, not UTF-8 \ufffd\ufffd, umlaut \xe4\r\n"
    surrogate = logs.find(logs.add("half of a pair \ud800"))
    assert surrogate is not None
    assert surrogate.text == "half of a pair ?"


def test_a_log_that_is_empty_or_too_large_is_refused(database: Database) -> None:
    logs = Logs(SETTINGS, database)
    with pytest.raises(InvalidInput):
        logs.add(b" \n")
    with pytest.raises(Refused) as caught:
        logs.add(b"x" * (4 * MIB + 1))
    assert caught.value.reason == "too large"


def test_one_address_cannot_fill_the_disk_and_others_go_on(database: Database) -> None:
    logs = Logs(SETTINGS, database)
    use_up(database, throttle.of_address("192.0.2.1", TRIES_PER_ADDRESS, "log"), leave=5)
    large = b"x" * (3 * MIB)
    logs.add(large, "192.0.2.1")
    with pytest.raises(TooManyTries):
        logs.add(large, "192.0.2.1")
    logs.add("short", "192.0.2.1")
    logs.add(large, "192.0.2.2")


def use_up(database: Database, limit: throttle.Limit, leave: int) -> None:
    with database.session() as session:
        throttle.count(session, [limit] * (limit.most - leave), 900)


def publish(database: Database, mod_id: str, *versions: str, sha256: str = "") -> None:
    with database.session() as session:
        session.add(Mod(id=mod_id, id_key=mod_id, title=mod_id, type="mod", created_at=1.0, updated_at=1.0))
        session.flush()
        if sha256:
            row = {"size": 1, "content_type": "application/octet-stream", "created_at": 1.0, "touched_at": 1.0}
            session.add(Blob(sha256=sha256, **row))
        for version in versions:
            release = Release(
                mod_id=mod_id,
                version=version,
                version_key=version,
                state="published",
                private=False,
                offered=True,
                document="{}",
                created_at=1.0,
                updated_at=1.0,
                change=1,
            )
            session.add(release)
            session.flush()
            if sha256:
                session.add(BlobUse(sha256=sha256, kind="release", key=str(release.id)))


def test_reports_are_counted_by_version_and_day_and_strange_ones_passed_over(database: Database) -> None:
    publish(database, "fsport", "3.7.0", "3.8.0")
    clock = Clock()
    tracking = Tracking(database, clock)
    chosen, needed = (Report(event, "fsport", "3.7.0") for event in (Event.DOWNLOAD, Event.DEPENDENCY))
    tracking.count([chosen, needed, chosen, Report(Event.LAUNCH, "fsport", "3.7.0")])
    clock.now += 86400
    tracking.count([chosen, Report(Event.DOWNLOAD, "fsport", "9.9.9"), Report(Event.DOWNLOAD, "nobody", "1.0.0")])
    tracking.count([])
    assert tracking.downloads("fsport") == {"3.7.0": 4}
    assert tracking.downloads("nobody") == {}
    with database.reading() as session:
        days = session.execute(select(TrackCount.event, TrackCount.day, TrackCount.count)).all()
    assert sorted(tuple(row) for row in days) == [
        ("dependency", "2027-01-15", 1),
        ("download", "2027-01-15", 2),
        ("download", "2027-01-16", 1),
        ("launch", "2027-01-15", 1),
    ]


def test_a_link_stands_for_the_newest_release_with_its_file(database: Database) -> None:
    publish(database, "fsport", "3.7.0", "3.8.0", sha256="ab" * 32)
    tracking = Tracking(database)
    assert tracking.release_of_link(f"https://example.org/storage/files/{'ab' * 32}/a.7z") == ("fsport", "3.8.0")
    assert tracking.release_of_link(f"https://example.org/storage/files/{'cd' * 32}/a.7z") is None
    assert tracking.release_of_link("https://example.org/a.7z") is None


def test_an_address_that_reports_too_much_is_not_counted_any_more(database: Database) -> None:
    publish(database, "fsport", "3.7.0")
    tracking = Tracking(database)
    report = [Report(Event.DOWNLOAD, "fsport", "3.7.0")]
    use_up(database, throttle.of_address("192.0.2.1", REPORTS_PER_ADDRESS, "track"), leave=1)
    for _ in range(3):
        tracking.count(report, "192.0.2.1")
    tracking.count(report, "192.0.2.2")
    assert tracking.downloads("fsport") == {"3.7.0": 2}


@pytest.mark.parametrize(
    ("name", "dependency", "event"),
    [
        ("install", False, Event.DOWNLOAD),
        ("Mod_Installed", True, Event.DEPENDENCY),
        ("download", False, Event.DOWNLOAD),
        ("update", False, Event.DOWNLOAD),
        ("uninstall", True, Event.UNINSTALL),
        ("launch", False, Event.LAUNCH),
        ("whatever", True, Event.OTHER),
    ],
)
def test_the_words_of_clients_come_down_to_a_few(name: str, dependency: bool, event: Event) -> None:
    assert event_of(name, dependency) is event
