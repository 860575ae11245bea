"""Releases in a database: stored once, found again, hidden, never taken twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select

from knossos.accounts.audit import OPERATOR
from knossos.accounts.tokens import ALL_SCOPES, Identity
from knossos.database import Database
from knossos.publishing.changes import last_change
from knossos.publishing.errors import Refused
from knossos.publishing.mods import ModFacts
from knossos.publishing.releases import Mode, Releases
from knossos.publishing.tables import BlobUse
from knossos.settings import Settings
from tests.support.releases import QuietPublisher, add_blobs, add_user, document, publish, sha256_of


@pytest.fixture
def publisher(database: Database, tmp_path: Path) -> QuietPublisher:
    return QuietPublisher(Settings(data_path=tmp_path / "data"), database)


@pytest.fixture
def dora(database: Database) -> int:
    return add_user(database, "dora")


def test_a_release_is_found_again_and_announced_with_its_change(publisher: QuietPublisher, dora: int) -> None:
    number = publish(publisher, document(needs=[("beta", ">=1.0.0")]), dora)
    found = publisher.releases.load("alpha", "1.0.0")
    assert found is not None
    assert (found.id, found.state, found.offered, found.published_by) == (number, "published", True, dora)
    assert found.document == document(needs=[("beta", ">=1.0.0")])
    with publisher.database.reading() as session:
        assert publisher.announced == [found.change] == [last_change(session)]
    assert publisher.releases.load("alpha", "1.0.1") is None


def test_of_two_uploads_of_a_version_at_once_exactly_one_wins(publisher: QuietPublisher, dora: int) -> None:
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


def test_a_job_that_is_run_again_stores_its_release_once(publisher: QuietPublisher, dora: int) -> None:
    publish(publisher, document(version="0.9.0"), dora)
    with publisher.database.session() as session:
        add_blobs(session, document())
    first = publisher.releases.store(document(), dora, Mode.RELEASE, submission="the same")
    assert publisher.releases.store(document(), dora, Mode.RELEASE, submission="the same") == first
    assert len(publisher.announced) == 2
    with pytest.raises(Refused):
        publisher.releases.store(document(), dora, Mode.RELEASE, submission="another")


def test_a_release_whose_file_is_gone_is_not_stored_at_all(publisher: QuietPublisher, dora: int) -> None:
    publish(publisher, document(), dora)
    with pytest.raises(Refused) as refusal:
        publisher.releases.store(document(version="2.0.0"), dora)
    assert refusal.value.reason == "archive missing"
    assert publisher.releases.load("alpha", "2.0.0") is None
    with publisher.database.reading() as session:
        assert publisher.announced == [last_change(session)]


def test_the_latest_release_is_the_highest_version(publisher: QuietPublisher, dora: int) -> None:
    for version in ("1.10.0", "1.9.0", "2.0.0-rc.1"):
        publish(publisher, document(version=version), dora)
    publish(publisher, document(version="3.0.0", private=True), dora)
    releases: Releases = publisher.releases
    assert releases.latest("alpha").version == "2.0.0-rc.1"  # type: ignore[union-attr]
    assert releases.latest("alpha", private=True).version == "3.0.0"  # type: ignore[union-attr]
    assert releases.latest("beta") is None


def identity(number: int) -> Identity:
    return Identity(number, "dora", frozenset(), ALL_SCOPES)


def offered(publisher: QuietPublisher, *versions: tuple[str, str]) -> list[bool]:
    found = [publisher.releases.load(mod_id, version) for mod_id, version in versions]
    return [one.offered for one in found if one is not None]


def test_a_deleted_release_is_hidden_and_its_version_and_files_stay(publisher: QuietPublisher, dora: int) -> None:
    number = publish(publisher, document(), dora)
    gone = publisher.releases.delete(identity(dora), "alpha", "1.0.0", OPERATOR)
    assert (gone.id, gone.state, gone.offered) == (number, "deleted", False)
    assert publisher.announced[-1] == gone.change
    assert publisher.releases.latest("alpha") is None
    with pytest.raises(Refused, match="already") as refusal:
        publisher.releases.store(document(), dora)
    assert refusal.value.reason == "duplicated version"
    with pytest.raises(Refused) as refusal:
        publisher.releases.delete(identity(dora), "alpha", "1.0.0", OPERATOR)
    assert refusal.value.reason == "release missing"
    with publisher.database.reading() as session:
        uses = session.scalars(select(BlobUse.sha256).where(BlobUse.kind == "release", BlobUse.key == str(number)))
        assert list(uses) == [sha256_of("alpha-1.0.0.7z")]


def test_a_yanked_release_is_offered_while_an_offered_one_needs_it(publisher: QuietPublisher, dora: int) -> None:
    releases = publisher.releases
    publish(publisher, document(), dora)
    publish(publisher, document(version="1.1.0"), dora)
    publish(publisher, document(id="beta", needs=[("alpha", "1.0.0")]), dora)
    releases.yank(identity(dora), "alpha", "1.0.0", "It crashes.", OPERATOR)
    found = releases.load("alpha", "1.0.0")
    assert found is not None
    assert found.yanked_at is not None
    assert (found.offered, found.yank_reason) == (True, "It crashes.")
    releases.yank(identity(dora), "beta", "1.0.0", "", OPERATOR)
    assert offered(publisher, ("alpha", "1.0.0"), ("beta", "1.0.0")) == [False, False]
    let_go = releases.load("alpha", "1.0.0")
    assert let_go is not None
    assert let_go.change == publisher.announced[-1]
    publish(publisher, document(id="gamma", needs=[("beta", None)]), dora)
    assert offered(publisher, ("alpha", "1.0.0"), ("beta", "1.0.0")) == [True, True]
    releases.delete(identity(dora), "gamma", "1.0.0", OPERATOR)
    assert offered(publisher, ("alpha", "1.0.0"), ("beta", "1.0.0")) == [False, False]
    releases.unyank(identity(dora), "beta", "1.0.0", OPERATOR)
    assert offered(publisher, ("alpha", "1.0.0"), ("beta", "1.0.0")) == [True, True]
    releases.unyank(identity(dora), "alpha", "1.0.0", OPERATOR)
    unyanked = releases.load("alpha", "1.0.0")
    assert unyanked is not None
    assert (unyanked.yanked_at, unyanked.yank_reason, unyanked.offered) == (None, "", True)


def test_a_release_that_asks_for_something_else_lets_go_of_a_yanked_one(publisher: QuietPublisher, dora: int) -> None:
    publish(publisher, document(), dora)
    publish(publisher, document(version="1.1.0"), dora)
    needing = document(id="beta", needs=[("alpha", "1.0.0")])
    publish(publisher, needing, dora)
    publisher.releases.yank(identity(dora), "alpha", "1.0.0", "", OPERATOR)
    publisher.releases.store(document(id="beta", needs=[("alpha", ">=1.0.0")]), dora, Mode.UPDATE)
    assert offered(publisher, ("alpha", "1.0.0")) == [False]
    publisher.releases.store(needing.model_copy(update={"private": True}), dora, Mode.UPDATE)
    assert offered(publisher, ("alpha", "1.0.0"), ("beta", "1.0.0")) == [False, False]


def test_an_update_changes_what_is_said_and_an_update_that_changes_nothing_tells_nobody(
    publisher: QuietPublisher, dora: int
) -> None:
    number = publish(publisher, document(), dora)
    publisher.releases.store(document(description="Better."), dora, Mode.UPDATE)
    publisher.releases.store(document(description="Better."), dora, Mode.UPDATE)
    found = publisher.releases.load_number(number)
    assert found is not None
    assert found.document.description == "Better."
    assert len(publisher.announced) == 2
    with pytest.raises(Refused) as refusal:
        publisher.releases.store(document(version="7.0.0"), dora, Mode.UPDATE)
    assert refusal.value.reason == "release missing"


def test_a_mods_new_title_and_images_are_carried_into_its_releases(publisher: QuietPublisher, dora: int) -> None:
    tile = sha256_of("tile")
    numbers = [publish(publisher, document(version=version), dora) for version in ("1.0.0", "1.1.0")]
    with publisher.database.session() as session:
        add_blobs(session, document(tile=f"{tile}.png"))
    mod_id, changes = publisher.mods.read_changes({"id": "alpha", "title": "New", "tile": tile.upper(), "type": 7})
    publisher.mods.update(identity(dora), mod_id, changes, OPERATOR)
    found = [publisher.releases.load_number(number) for number in numbers]
    assert [(one.document.title, one.document.tile) for one in found if one] == [("New", f"{tile}.png")] * 2
    assert {one.change for one in found if one} == {publisher.announced[-1]}
    publisher.mods.update(identity(dora), mod_id, changes, OPERATOR)
    assert len(publisher.announced) == 3
    with publisher.database.reading() as session:
        users = session.execute(select(BlobUse.kind, BlobUse.key).where(BlobUse.sha256 == tile)).all()
    assert sorted(tuple(row) for row in users) == [("mod", "alpha"), *(("release", str(one)) for one in numbers)]


def test_ids_that_differ_only_in_case_are_the_same(publisher: QuietPublisher, dora: int) -> None:
    publish(publisher, document(id="Alpha"), dora)
    assert (publisher.mods.why_not("aLPHA"), publisher.mods.why_not("alpha2")) == ("duplicated id", "")
    with pytest.raises(Refused) as refusal:
        publisher.mods.create(ModFacts("ALPHA", "Another", "tc"), dora)
    assert refusal.value.reason == "duplicated id"
