"""Looking mods up, on each kind of database: search, order, who sees what, what needs what."""

from __future__ import annotations

import pytest

from knossos.accounts.audit import Actor
from knossos.accounts.tokens import ALL_SCOPES, Identity
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.errors import NoSuchMod, NoSuchRelease
from knossos.publishing.publisher import Publisher
from knossos.publishing.teams import TeamRole
from knossos.settings import Settings
from tests.support.releases import add_user, document, publish


@pytest.fixture
def publisher(database: Database, settings: Settings, engine: Engine) -> Publisher:
    return Publisher(settings, database, engine)


def test_mods_are_found_by_every_word_and_by_those_who_may_know_of_them(publisher: Publisher) -> None:
    dora = Identity(add_user(publisher.database, "dora"), "dora", frozenset(), ALL_SCOPES)
    erik = Identity(add_user(publisher.database, "erik"), "erik", frozenset(), ALL_SCOPES)
    publish(publisher, document(id="alpha", title="Zeta 100%", description="A quiet orbit."), dora.user_id)
    publish(publisher, document(id="beta", title="An Orbit"), dora.user_id)
    publish(publisher, document(id="gamma", title="Secret orbit", private=True), dora.user_id)
    catalogue = publisher.catalogue

    def found(identity: Identity | None, text: str, **more: str) -> list[str]:
        return [card.id for card in catalogue.search(identity, text=text, sort="title", **more).cards]  # type: ignore[arg-type]

    assert found(None, "ORBIT") == ["beta", "alpha"], "a title says more than a description"
    assert found(None, "orbit quiet") == ["alpha"]
    assert found(None, "0%") == ["alpha"]
    assert found(None, "%b") == found(None, "_") == found(erik, "secret") == []
    assert found(dora, "secret") == ["gamma"]
    assert found(None, "", type="engine") == found(None, "", stability="rc") == []
    first = catalogue.search(None, sort="title", size=1)
    assert ([card.title for card in first.cards], first.total, first.pages) == (["An Orbit"], 2, 2)
    assert [card.id for card in catalogue.search(None, sort="title", size=1, page=99).cards] == ["alpha"]


def test_a_page_has_the_versions_that_one_may_see_and_what_needs_the_mod(publisher: Publisher) -> None:
    dora = Identity(add_user(publisher.database, "dora"), "dora", frozenset(), ALL_SCOPES)
    for version in ("1.0.0", "1.9.0", "1.10.0"):
        publish(publisher, document(id="base", version=version), dora.user_id)
    publish(publisher, document(id="base", version="2.0.0", private=True), dora.user_id)
    publish(publisher, document(id="top", title="Top", needs=[("base", ">=1.0.0"), ("hidden", None)]), dora.user_id)
    publish(publisher, document(id="hidden", private=True, needs=[("base", None)]), dora.user_id)
    publisher.releases.yank(dora, "base", "1.10.0", "It crashes.", Actor("dora"))
    catalogue = publisher.catalogue
    page = catalogue.page(None, "base")
    assert [(line.version, line.yanked) for line in page.versions] == [
        ("1.10.0", True),
        ("1.9.0", False),
        ("1.0.0", False),
    ]
    assert (page.latest, page.release.version, page.is_latest, page.role) == ("1.9.0", "1.9.0", True, None)
    assert [card.id for card in page.needed_by] == ["top"]
    own = catalogue.page(dora, "base")
    assert (own.latest, own.role, {card.id for card in own.needed_by}) == ("2.0.0", TeamRole.OWNER, {"top", "hidden"})
    assert set(catalogue.page(None, "top").titles) == {"base"}
    assert set(catalogue.page(dora, "top").titles) == {"base", "hidden"}
    assert catalogue.page(None, "base", "1.10.0").release.yank_reason == "It crashes."
    for version in ("2.0.0", "3.0.0", "x"):
        with pytest.raises(NoSuchRelease):
            catalogue.page(None, "base", version)
    for mod_id in ("hidden", "nothing", "\0"):
        with pytest.raises(NoSuchMod):
            catalogue.page(None, mod_id)
