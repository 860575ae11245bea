"""An application with the script server, and people who use it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from knossos.accounts import Account
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.people import add_account, with_cheap_passwords
from tests.support.script_server import log_in


@pytest.fixture
def settings(settings: Settings) -> Settings:
    more = {"command": "sh", "args": ("-s",), "name": "The lab", "home_quota_bytes": 1_000_000, "max_running": 2}
    return settings.model_copy(update={**more, "max_script_bytes": 1000, "script_owner_runs": 3})


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def people(database: Database) -> dict[str, Account]:
    return {
        "dora": add_account(database, "Dora"),
        "emil": add_account(database, "emil"),
        "olga": add_account(database, "olga", "operator"),
    }


@pytest.fixture
def anyone(settings: Settings, engine: Engine, people: dict[str, Account]) -> FlaskClient:
    return with_cheap_passwords(create_app(settings, engine)).test_client()


@pytest.fixture
def dora(anyone: FlaskClient) -> FlaskClient:
    return log_in(anyone, "dora")
