"""Publishing's stored files on a real S3 server: counted and collected, and served in parts without a disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from chaos.storage_door import Door
from knossos.database import Database
from knossos.jobs import Engine
from knossos.publishing.blobs import ANY_FILE, Blobs
from knossos.publishing.repository.repository import Repository
from knossos.settings import Settings
from knossos.storage import OBJECT_PIECE_BYTES, Storage, StorageUnavailable, blob_key
from knossos.web import create_app
from tests.support.file_server import Answer, FileServer
from tests.support.processes import wait_for, worker_process, write_settings
from tests.support.s3 import S3Server, behind_a_door

pytestmark = pytest.mark.xdist_group("s3")

BYTES = os.urandom(1000) * (OBJECT_PIECE_BYTES // 1000 + 10)
SHA256 = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def settings(s3_server: S3Server, tmp_path: Path, sqlite_template: Path) -> Settings:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    return s3_server.settings(tmp_path / "data")


@pytest.fixture
def blobs(settings: Settings) -> Iterator[Blobs]:
    database = Database(settings)
    yield Blobs(database, Storage(settings))
    database.close()


def store(blobs: Blobs, folder: Path) -> None:
    path = folder / "incoming"
    path.write_bytes(BYTES)
    blobs.adopt(path, sha256=SHA256, size=len(BYTES), content_type=ANY_FILE, owner_id=None)


def test_a_store_that_refuses_is_told_from_one_that_is_away(
    settings: Settings, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**settings.storage_options, "secret_access_key": "another one"}
    refused = settings.model_copy(update={"storage_options": options})
    answer = create_app(refused, engine).test_client().get("/ready")
    assert answer.status_code == 503
    assert answer.json is not None
    assert answer.json["parts"]["storage"].startswith("refuses this server: are the keys in STORAGE_OPTIONS")
    with pytest.raises(StorageUnavailable):
        Storage(refused).put_bytes("public/a", b"a")
    assert "403 Forbidden" in caplog.text
    assert "SignatureDoesNotMatch" in caplog.text
    assert "another one" not in caplog.text + answer.text


def test_a_clock_that_the_store_does_not_believe_is_named_in_the_log(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    skewed = b"<?xml?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>Too far.</Message></Error>"
    with FileServer() as store:
        place = urlsplit(settings.storage)
        store.handle(f"/{place.netloc}{place.path}/public/a", lambda request: Answer(403, body=skewed))
        options = {**settings.storage_options, "endpoint": store.url("")}
        with pytest.raises(StorageUnavailable):
            Storage(settings.model_copy(update={"storage_options": options})).put_bytes("public/a", b"a")
    assert "RequestTimeTooSkewed (the clock of this machine is not the store's: set it right)" in caplog.text


def test_what_nothing_uses_is_collected_and_can_be_stored_again(
    blobs: Blobs, settings: Settings, tmp_path: Path
) -> None:
    store(blobs, tmp_path)
    assert blobs.local(SHA256, tmp_path).read_bytes() == BYTES
    assert blobs.collect(3600) == 0
    assert blobs.collect(-1) == 1
    assert Storage(settings).head(blob_key(SHA256)) is None
    store(blobs, tmp_path)
    assert blobs.touch(SHA256)


def test_a_file_is_served_from_the_object_store_whole_and_in_part(
    blobs: Blobs, settings: Settings, tmp_path: Path
) -> None:
    store(blobs, tmp_path)
    client = create_app(settings, Engine(settings)).test_client()
    address = f"/storage/files/{SHA256}/a.7z"
    whole = client.get(address, buffered=True)
    assert (whole.status_code, whole.content_length, whole.headers["ETag"]) == (200, len(BYTES), f'"{SHA256}"')
    assert whole.data == BYTES
    start = OBJECT_PIECE_BYTES - 5
    part = client.get(address, buffered=True, headers={"Range": f"bytes={start}-"})
    assert (part.status_code, part.data) == (206, BYTES[start:])
    assert client.head(address, buffered=True).content_length == len(BYTES)
    assert client.get(address, buffered=True, headers={"If-None-Match": f'"{SHA256}"'}).status_code == 304
    assert client.get(f"/storage/files/{'0' * 64}/a.7z", buffered=True).status_code == 404


def test_players_can_be_sent_to_the_object_store_itself(blobs: Blobs, settings: Settings, tmp_path: Path) -> None:
    store(blobs, tmp_path)
    settings = settings.model_copy(update={"storage_redirect": True})
    client = create_app(settings, Engine(settings)).test_client()
    address = f"/storage/files/{SHA256}/a.7z"
    moved = client.get(address, headers={"Range": "bytes=5-"})
    assert (moved.status_code, moved.headers["Cache-Control"]) == (302, "no-store")
    part = requests.get(moved.location, headers={"Range": "bytes=5-"}, timeout=30)
    assert (part.status_code, part.content) == (206, BYTES[5:])
    assert client.head(address).content_length == len(BYTES)
    assert client.get(f"/storage/files/{'0' * 64}/a.7z").status_code == 404


@pytest.mark.parametrize("scripts", [{}, {"command": "sh", "args": ("-s",)}], ids=["mods alone", "scripts too"])
def test_a_worker_runs_its_tasks_though_it_has_looked_at_the_object_store_before(
    settings: Settings, redis_url: str, tmp_path: Path, scripts: dict[str, Any]
) -> None:
    """Whoever has talked to it has threads, which a fork does not have."""
    settings = settings.model_copy(update={"redis": redis_url, **scripts})
    database = Database(settings)
    file = write_settings(tmp_path / "settings.py", settings)
    worker = worker_process(tmp_path / "worker.log", file)
    try:
        repository = Repository(settings, database, Storage(settings))
        wait_for(repository.published, f"the repository's files; {worker.log}")
    finally:
        worker.stop()
        database.close()


def test_who_is_patient_waits_for_an_object_store_that_is_away(settings: Settings) -> None:
    def whole(storage: Storage) -> bytes:
        return b"".join(storage.read("a"))

    Storage(settings).put_bytes("a", b"there")
    with behind_a_door(settings) as (door, behind):
        door.state = Door.FAILING
        with pytest.raises(StorageUnavailable):
            whole(Storage(behind))
        before = door.refused
        with ThreadPoolExecutor(1) as thread:
            read = thread.submit(whole, Storage(behind, patience_seconds=60))
            # More often than one who is in a hurry tries.
            wait_for(lambda: door.refused > 2 * before or read.done(), "the tries")
            door.state = Door.OPEN
            assert read.result(60) == b"there"
