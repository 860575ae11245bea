"""The repository over HTTP: validators, ranges, signatures, and what changed since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.repository import feed
from knossos.settings import Settings
from knossos.web import create_app
from tests.support import strict_mods
from tests.support.releases_world import Machine, World, named
from tests.support.s3 import S3Server


@pytest.fixture
def world(sqlite_template: Path, tmp_path: Path) -> Iterator[World]:
    """These tests need no Redis."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    database = Database(Settings(data_path=tmp_path / "first"))
    yield World(database, tmp_path)
    database.close()


@pytest.fixture
def client(world: World) -> FlaskClient:
    return client_of(world.machine)


def client_of(machine: Machine) -> FlaskClient:
    return create_app(machine.settings, Engine(machine.settings)).test_client()


def get(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    """The answer, read to its end so that its file is closed."""
    return client.get(path, buffered=True, headers={name.replace("_", "-"): value for name, value in headers.items()})


def changes(client: FlaskClient, since: object) -> dict[str, Any]:
    answer = client.get("/api/1/repo/changes", query_string={"since": since})
    assert answer.status_code == 200, answer.data
    found: dict[str, Any] = json.loads(answer.data)
    assert type(found["result"]) is bool
    return found


@pytest.mark.parametrize("name", ["repo.json", "repo_minimal.json"])
def test_before_the_first_release_there_is_an_empty_repository(client: FlaskClient, name: str) -> None:
    answer = get(client, f"/storage/{name}")
    assert (answer.status_code, json.loads(answer.data)) == (200, {"mods": []})
    assert get(client, f"/storage/{name}", If_None_Match=answer.headers["ETag"]).status_code == 304
    assert get(client, f"/storage/{name}.minisig").status_code == 404


@pytest.mark.parametrize("name", ["repo.json", "repo_minimal.json"])
def test_a_client_that_has_it_already_is_told_so_until_a_release_comes(
    world: World, client: FlaskClient, name: str
) -> None:
    world.publish()
    world.bring_up()
    first = get(client, f"/storage/{name}")
    assert (first.status_code, first.headers["Content-Type"]) == (200, "application/json")
    assert first.headers["Cache-Control"] == "no-cache"
    assert first.headers["ETag"].startswith('"')
    assert "Last-Modified" in first.headers
    assert "Set-Cookie" not in first.headers
    again = get(client, f"/storage/{name}", If_None_Match=first.headers["ETag"])
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    world.publish("alpha", "1.1.0")
    world.bring_up()
    second = get(client, f"/storage/{name}", If_None_Match=first.headers["ETag"])
    assert second.status_code == 200
    assert len(json.loads(second.data)["mods"]) == 2


def test_the_old_client_that_always_asks_for_a_range_gets_it(world: World, client: FlaskClient) -> None:
    world.publish()
    world.bring_up()
    whole = get(client, "/storage/repo.json")
    part = get(client, "/storage/repo.json", Range="bytes=0-")
    assert (part.status_code, part.data) == (206, whole.data)
    tail = get(client, "/storage/repo.json", Range="bytes=10-", If_Range=whole.headers["ETag"])
    assert (tail.status_code, tail.data) == (206, whole.data[10:])


def test_signatures_and_their_key_are_served_and_nothing_else_is(world: World, client: FlaskClient) -> None:
    world.publish()
    world.bring_up()
    signature = get(client, "/storage/repo_minimal.json.minisig")
    assert signature.data == (world.public / "repo_minimal.json.minisig").read_bytes()
    name = signature.get_data(as_text=True).partition("\tsame:")[2].splitlines()[0]
    assert get(client, f"/storage/{name}").data == get(client, "/storage/repo_minimal.json").data
    assert get(client, f"/storage/{name}.minisig").data == signature.data
    assert get(client, "/storage/minisign.pub").data.startswith(b"untrusted comment: minisign public key")
    for wrong in ("repository.json", "repo-x.json", "..%2Fblobs", f"repo-{'0' * 64}.json", "repo.json.", ".incoming-1"):
        assert get(client, f"/storage/{wrong}").status_code == 404, wrong


@pytest.mark.xdist_group("s3")
def test_an_object_store_serves_the_same(world: World, s3_server: S3Server) -> None:
    store = s3_server.settings(world.folder / "first")
    world.machine = world.machine_called("first", storage=store.storage, storage_options=store.storage_options)
    client = client_of(world.machine)
    world.publish("alpha", "1.0.0", title="The Sought-for Title")
    world.bring_up()
    first = get(client, "/storage/repo.json")
    assert named(strict_mods.repository(first.data)) == ["alpha 1.0.0"]
    assert get(client, "/storage/repo.json", If_None_Match=first.headers["ETag"]).status_code == 304
    assert get(client, "/storage/repo.json", Range="bytes=5-").data == first.data[5:]
    world.publish("beta")
    world.delete("alpha", "1.0.0")
    world.bring_up()
    fresh = client_of(world.machine)
    assert named(strict_mods.repository(get(fresh, "/storage/repo.json").data)) == ["beta 1.0.0"]
    stored = [b"".join(world.machine.storage.read(key)) for key, _, _ in world.machine.storage.list_keys("public")]
    assert len(stored) == 6
    assert not [data for data in stored if b"The Sought-for Title" in data]


# --- changes ----------------------------------------------------------------------------------------


def test_whoever_goes_on_from_the_change_that_was_told_misses_nothing(world: World, client: FlaskClient) -> None:
    world.publish("alpha", "1.0.0")
    world.publish("alpha", "1.1.0")
    world.publish("secret", private=True)
    first = changes(client, 0)
    assert (named(first["mods"]), first["removed"], first["change"], first["more"]) == (
        ["alpha 1.0.0", "alpha 1.1.0"],
        [],
        3,
        False,
    )
    for mod in first["mods"]:
        strict_mods.full_mod(mod)
    world.change("alpha", "1.1.0", title="Another title")
    world.delete("alpha", "1.0.0")
    second = changes(client, first["change"])
    assert named(second["mods"]) == ["alpha 1.1.0"]
    assert second["mods"][0]["title"] == "Another title"
    assert second["removed"] == [{"id": "alpha", "version": "1.0.0"}]
    assert changes(client, second["change"]) == {
        "result": True, "change": 5, "more": False, "removed": [], "mods": []
    }  # fmt: skip


def test_what_nobody_ever_saw_is_not_told_of_when_it_goes(world: World, client: FlaskClient) -> None:
    world.publish("secret", private=True)
    world.change("secret", "1.0.0", title="still private")
    world.delete("secret", "1.0.0")
    world.publish("shown")
    world.change("shown", "1.0.0", private=True)
    answer = client.get("/api/1/repo/changes?since=0")
    assert b"secret" not in answer.data
    assert json.loads(answer.data)["removed"] == [{"id": "shown", "version": "1.0.0"}]


def test_many_changes_come_in_pages(world: World, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PAGE_BYTES", 3000)
    for number in range(7):
        world.publish("alpha", f"1.{number}.0")
    found, since, pages = [], 0, 0
    while True:
        page = changes(client, since)
        found += named(page["mods"])
        pages, since = pages + 1, page["change"]
        if not page["more"]:
            break
    assert found == [f"alpha 1.{number}.0" for number in range(7)]
    assert pages > 2


def test_a_page_never_divides_what_changed_together(world: World) -> None:
    from sqlalchemy import update

    from knossos.publishing.tables import Release

    for number in range(4):
        world.publish("alpha", f"1.{number}.0")
    with world.database.session() as session:
        session.execute(update(Release).values(change=4))
    with world.database.reading() as session:
        page = feed.changes_since(session, 0, "http://example.org")
    assert (len(page.mods), page.change, page.more) == (4, 4, False)


def test_changes_are_asked_for_by_time_too(world: World, client: FlaskClient) -> None:
    world.publish("alpha")
    now = datetime.now(UTC)
    for since in (
        now.strftime("%Y-%m-%d") if now.hour or now.minute else (now - timedelta(days=1)).strftime("%Y-%m-%d"),
        (now - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        (now - timedelta(hours=1)).astimezone().isoformat(),
        "2001-02-03",
    ):
        assert named(changes(client, since)["mods"]) == ["alpha 1.0.0"], since
    later = (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert changes(client, later) == {"result": True, "change": 1, "more": False, "removed": [], "mods": []}


@pytest.mark.parametrize(
    "since", ["", "x", "-1", "1.5", "2026-13-01", "2026-01-01T00:00", "9" * 20, "2026-1-1", "\u0663"]
)
def test_what_is_neither_a_change_nor_a_time_is_refused(client: FlaskClient, since: str) -> None:
    answer = client.get("/api/1/repo/changes", query_string={"since": since})
    assert answer.status_code == 400
    assert json.loads(answer.data)["errors"][0]["path"] == "since"


def test_a_change_that_is_still_to_come_means_that_the_copy_is_of_another_past(client: FlaskClient) -> None:
    answer = changes(client, 5)
    assert (answer["result"], answer["reason"]) == (False, "unknown change")


def test_who_asks_again_for_the_same_changes_is_told_that_nothing_is_new(world: World, client: FlaskClient) -> None:
    world.publish()
    first = client.get("/api/1/repo/changes?since=0")
    headers = {"If-None-Match": first.headers["ETag"]}
    assert client.get("/api/1/repo/changes?since=0", headers=headers).status_code == 304
    assert client.get("/api/1/repo/changes?since=1", headers=headers).status_code == 200
    world.publish("beta")
    assert client.get("/api/1/repo/changes?since=0", headers=headers).status_code == 200
