"""Fixtures of the tests of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.settings import Settings
from tests.support.script_runs import RunBench


@pytest.fixture
def site(settings: Settings, sqlite_template: Path, tmp_path: Path) -> Settings:
    """Settings with a database that has its tables."""
    settings.data_path.mkdir()
    (settings.data_path / "knossos.sqlite3").write_bytes(sqlite_template.read_bytes())
    return settings


@pytest.fixture
def bench(site: Settings, tmp_path: Path) -> Iterator[RunBench]:
    made = RunBench(site, tmp_path)
    yield made
    made.database.close()
