"""An application whose pages are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.support.people import with_cheap_passwords


@pytest.fixture
def client(settings: Settings, engine: Engine, sqlite_template: Path) -> Iterator[FlaskClient]:
    third_party.install()
    settings.data_path.mkdir(exist_ok=True)
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    with with_cheap_passwords(create_app(settings, engine)).test_client() as made:
        yield made
