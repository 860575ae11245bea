"""Releases in a database: stored once, found again, hidden, never taken twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knossos.database import Database
from knossos.publishing.changes import last_change
from knossos.publishing.errors import Refused
from knossos.publishing.publisher import Publisher
from knossos.publishing.releases import Mode, Releases
from knossos.settings import Settings
from tests.support.releases import add_blobs, add_user, document, publish


class AnnouncingPublisher(Publisher):
    """Remembers what it was told to announce, where the real one would ask Redis for a job."""

    def __init__(self, settings: Settings, database: Database) -> None:
        super().__init__(settings, database, None)  # type: ignore[arg-type]
        self.announced: list[int] = []

    def announce(self, change: int) -> None:
        self.announced.append(change)


@pytest.fixture
def publisher(database: Database, tmp_path: Path) -> AnnouncingPublisher:
    return AnnouncingPublisher(Settings(data_path=tmp_path / "data"), database)


@pytest.fixture
def dora(database: Database) -> int:
    return add_user(database, "dora")


def test_a_release_is_found_again_and_announced_with_its_change(publisher: AnnouncingPublisher, dora: int) -> None:
    number = publish(publisher, document(needs=[("beta", ">=1.0.0")]), dora)
    found = publisher.releases.load("alpha", "1.0.0")
    assert found is not None
    assert (found.id, found.state, found.offered, found.published_by) == (number, "published", True, dora)
    assert found.document == document(needs=[("beta", ">=1.0.0")])
    with publisher.database.reading() as session:
        assert publisher.announced == [found.change] == [last_change(session)]
    assert publisher.releases.load("alpha", "1.0.1") is None


def test_of_two_uploads_of_a_version_at_once_exactly_one_wins(publisher: AnnouncingPublisher, dora: int) -> None:
    publish(publisher, document(version="0.9.0"), dora)
    wanted = document(version="1.0.0-RC.1")
    with publisher.database.session() as session:
        add_blobs(session, wanted)

    def store(number: int) -> str:
        try:
            publisher.releases.store(wanted, dora, submission=f"{number}")
        except Refused as error:
            return str(error.reason)
        return "stored"

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(store, range(4)))
    assert answers == ["duplicated version"] * 3 + ["stored"]
    with pytest.raises(Refused, match="already"):
        publisher.releases.store(wanted.model_copy(update={"version": "1.0.0-rc.1"}), dora)


def test_a_job_that_is_run_again_stores_its_release_once(publisher: AnnouncingPublisher, dora: int) -> None:
    publish(publisher, document(version="0.9.0"), dora)
    with publisher.database.session() as session:
        add_blobs(session, document())
    first = publisher.releases.store(document(), dora, Mode.RELEASE, submission="the same")
    assert publisher.releases.store(document(), dora, Mode.RELEASE, submission="the same") == first
    assert len(publisher.announced) == 2
    with pytest.raises(Refused):
        publisher.releases.store(document(), dora, Mode.RELEASE, submission="another")


def test_a_release_whose_file_is_gone_is_not_stored_at_all(publisher: AnnouncingPublisher, dora: int) -> None:
    publish(publisher, document(), dora)
    with pytest.raises(Refused) as refusal:
        publisher.releases.store(document(version="2.0.0"), dora)
    assert refusal.value.reason == "archive missing"
    assert publisher.releases.load("alpha", "2.0.0") is None
    with publisher.database.reading() as session:
        assert publisher.announced == [last_change(session)]


def test_the_latest_release_is_the_highest_version(publisher: AnnouncingPublisher, dora: int) -> None:
    for version in ("1.10.0", "1.9.0", "2.0.0-rc.1"):
        publish(publisher, document(version=version), dora)
    publish(publisher, document(version="3.0.0", private=True), dora)
    releases: Releases = publisher.releases
    assert releases.latest("alpha").version == "2.0.0-rc.1"  # type: ignore[union-attr]
    assert releases.latest("alpha", private=True).version == "3.0.0"  # type: ignore[union-attr]
    assert releases.latest("beta") is None
