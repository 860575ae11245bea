"""An application with scripts that are called over the LinkAhead endpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from knossos.accounts import Account, Accounts
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.linkahead import (
    MOST_BYTES,
)
from tests.support.people import CHEAP, add_account
from tests.support.web import services_of


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with scripts; nothing here runs them."""
    folder = tmp_path / "bin"
    for name in ("hello.sh", "open.sh", "tables/clean.sh"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    (folder / "plain.txt").write_text("no program")
    return folder


@pytest.fixture
def settings(settings: Settings, scripts: Path, tmp_path: Path) -> Settings:
    file = tmp_path / "tokens.yml"
    file.write_text("- {purpose: 'SCRIPTING:EXECUTE:hello.sh', roles: [table-keepers]}\n")
    more = {
        "server_side_scripting_bin_dirs": (str(scripts),),
        "role_permissions": {"curators": ("SCRIPTING:EXECUTE:tables/*", "SCRIPTING:EXECUTE:hello.sh")},
        "authtoken_config": str(file),
        "max_content_length": MOST_BYTES,
        "login_failures_per_account": 3,
    }
    return settings.model_copy(update=more)


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def dora(database: Database) -> Account:
    """Somebody whose roles let her run some scripts."""
    add_account(database, "dora")
    return Accounts(database, CHEAP).set_roles("dora", ["curators"], more_roles=["curators"])


@pytest.fixture
def client(settings: Settings, engine: Engine, database: Database) -> FlaskClient:
    made = create_app(settings, engine).test_client()
    services_of(made).accounts._passwords = CHEAP
    return made
