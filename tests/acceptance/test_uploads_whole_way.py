"""Uploads through the real server: three parts at once, after a kill, by fifty clients, in little memory."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from knossos.accounts import Accounts
from knossos.accounts.tokens import Tokens
from knossos.database import Database
from knossos.storage import Storage, blob_key
from tests.support.processes import wait_for
from tests.support.site import Site
from tests.support.upload_client import MIB, UploadClient, family, make_source, memory_mib

pytestmark = pytest.mark.slow

#: What any process of the server may take, whatever the size of what is uploaded.
MEMORY_MIB = 150


@pytest.fixture
def site(tmp_path: Path, redis_url: str) -> Iterator[Site]:
    with Site(tmp_path, redis_url, sockets=False, processes=2) as made:
        yield made


@pytest.fixture
def client(site: Site) -> UploadClient:
    database = Database(site.settings)
    account = Accounts(database).find("dora")
    assert account is not None
    token = Tokens(site.settings, database).issue_login(account.user_id)
    database.close()
    return UploadClient(site.settings.api_listen, token)


def stored(site: Site, sha256: str) -> Path:
    path = Storage(site.settings).local_path(blob_key(sha256))
    assert path is not None
    return path


def same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while piece := first.read(MIB):
            if second.read(MIB) != piece:
                return False
        return not second.read(1)


def test_an_upload_goes_on_where_it_was_when_the_server_was_killed(
    site: Site, client: UploadClient, tmp_path: Path
) -> None:
    source = make_source(tmp_path / "source", 57 * MIB + 123)
    assert client.start(source)["finished_parts"] == []
    for number in (0, 1, 4):
        assert client.send_part(source, number) == b"OK"
    with client.sending(source, 2) as (_, send):
        send(5 * MIB)
        incoming = site.settings.data_path / "storage" / "uploads"
        (file,) = incoming.iterdir()
        wait_for(lambda: b"\0" * MIB not in read_at(file, 2 * 10 * MIB, MIB), "the first bytes of the part")
        site.kill_web()
    site.start_web()
    assert client.start(source)["finished_parts"] == [0, 1, 4]
    client.upload(source)
    assert client.start(source)["done"] is True
    assert client.finish(source) == {"result": True}, "the answer was lost"
    assert same_bytes(stored(site, source.sha256), source.path)
    assert list(incoming.iterdir()) == []


def read_at(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length) or b"\0" * length


def test_memory_stays_flat_whatever_the_size(site: Site, client: UploadClient, tmp_path: Path) -> None:
    source = make_source(tmp_path / "source", 400 * MIB)
    client.upload(make_source(tmp_path / "small", 20 * MIB))
    assert site.web_process is not None
    processes = family(site.web_process.popen.pid)
    before = max(memory_mib(pid, "VmHWM") for pid in processes)
    client.upload(source)
    after = max(memory_mib(pid, "VmHWM") for pid in processes)
    assert same_bytes(stored(site, source.sha256), source.path)
    assert after < MEMORY_MIB
    assert after - before < 30


def test_fifty_uploaders_at_once_lose_nothing(site: Site, client: UploadClient, tmp_path: Path) -> None:
    sources = [make_source(tmp_path / f"source-{number}", 11 * MIB + number) for number in range(50)]
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(client.upload, sources))
    for source in sources:
        assert same_bytes(stored(site, source.sha256), source.path)
        source.path.unlink()
