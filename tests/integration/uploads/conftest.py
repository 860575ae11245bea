"""Where the tests of uploads upload to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.database import Database
from knossos.settings import Settings
from tests.support.s3 import S3Server
from tests.support.uploads import UploadBench, bench_of


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> UploadBench:
    return UploadBench(Settings(data_path=tmp_path / "data"), database)


@pytest.fixture
def local(tmp_path: Path, sqlite_template: Path) -> Iterator[UploadBench]:
    """In a folder, with SQLite: for what neither the database nor the storage has a say in."""
    yield from bench_of(Settings(data_path=tmp_path / "data"), sqlite_template)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.xdist_group("s3"))])
def any_place(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> Iterator[UploadBench]:
    """In a folder and in an object store, with SQLite."""
    server: S3Server | None = request.getfixturevalue("s3_server") if request.param == "s3" else None
    settings = server.settings(tmp_path / "data") if server else Settings(data_path=tmp_path / "data")
    yield from bench_of(settings, sqlite_template)
