"""An application with scripts, and three who use it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from knossos.accounts import Account, Accounts
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app, third_party
from tests.support.people import CHEAP, PASSWORD, add_account
from tests.support.script_scenes import write_scripts


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, sqlite_template: Path) -> Settings:
    write_scripts(tmp_path / "bin")
    (tmp_path / "runners").mkdir()
    (tmp_path / "runners" / "weather.json").write_text(
        json.dumps(
            {
                "command": ["/bin/echo", "$CITY"],
                "title": "The weather",
                "inputs": {"query_args": [{"env_var_name": "CITY", "query_var_name": "city"}]},
            }
        )
    )
    settings.data_path.mkdir()
    shutil.copy(sqlite_template, settings.data_path / "knossos.sqlite3")
    granted = {"anonymous": ("SCRIPTING:EXECUTE:tables/*",), "curators": ("SCRIPTING:*", "RUNNER:EXECUTE:weather")}
    folders = {"server_side_scripting_bin_dirs": (str(tmp_path / "bin"),), "runners_dir": tmp_path / "runners"}
    return settings.model_copy(update={**folders, "role_permissions": granted})


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    made = Database(settings)
    yield made
    made.close()


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    third_party.install()
    return create_app(settings, engine).test_client()


@pytest.fixture
def dora(database: Database) -> Account:
    return Accounts(database, CHEAP).add("dora", PASSWORD, ["curators"], more_roles=["curators"])


@pytest.fixture
def otto(database: Database) -> Account:
    return add_account(database, "otto")


@pytest.fixture
def olga(database: Database) -> Account:
    return add_account(database, "olga", "operator")
