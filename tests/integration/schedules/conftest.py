"""Schedules on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from knossos.accounts import Account, Accounts
from knossos.database import Database
from knossos.jobs import Engine
from knossos.settings import Settings
from tests.support.people import CHEAP
from tests.support.schedules import ScheduleBench


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, database_url: str) -> Settings:
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "echo.sh"
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)
    more = {"server_side_scripting_bin_dirs": (str(tmp_path / "bin"),), "database": database_url, "command": "sh"}
    granted = {"curators": ("SCRIPTING:EXECUTE:*",)}
    calculates = {"calculation_command": ("true",), "calculation_open": True}
    return settings.model_copy(update={**more, **calculates, "role_permissions": granted, "schedules_per_account": 3})


@pytest.fixture
def bench(settings: Settings, database: Database, engine: Engine) -> ScheduleBench:
    return ScheduleBench(settings, database, engine)


@pytest.fixture
def dora(bench: ScheduleBench) -> Account:
    return Accounts(bench.database, CHEAP).add("Dora", "correct horse", ["curators"], more_roles=["curators"])
