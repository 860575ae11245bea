"""The operator's commands for scripts: what there is, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask

from knossos.errors import EXIT_BAD_SETTINGS, EXIT_MISSING
from knossos.jobs import Engine
from knossos.settings import Settings
from knossos.web import create_app
from tests.support.script_scenes import write_script


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A script and a runner in good order. Neither Redis nor a database is there."""
    write_script(tmp_path / "bin", "tables/clean.py", "", title="Clean a table", network=True, concurrency=2)
    (tmp_path / "runners").mkdir()
    runner(tmp_path, "plate", command=["/bin/true"], limits={"timeout_seconds": 60}, keep_seconds=86400)
    return Settings(
        data_path=tmp_path / "data",
        redis="redis://127.0.0.1:1/0",
        server_side_scripting_bin_dirs=(str(tmp_path / "bin"),),
        runners_dir=tmp_path / "runners",
    )


def runner(folder: Path, name: str, **fields: Any) -> None:
    (folder / "runners" / f"{name}.json").write_text(json.dumps(fields))


def run(settings: Settings, *arguments: str) -> Result:
    app: Flask = create_app(settings, Engine(settings))
    return app.test_cli_runner().invoke(args=["scripts", *arguments])


def test_what_there_is_is_listed_with_what_differs_from_the_settings(settings: Settings) -> None:
    found = run(settings, "list")
    assert (found.exit_code, found.stdout.splitlines()) == (
        0,
        [
            "KIND    NAME             TITLE          MORE",
            "script  tables/clean.py  Clean a table  network concurrency=2",
            "runner  plate            plate          timeout_seconds=60 keep_seconds=86400",
        ],
    )


def test_where_all_is_in_order_the_check_says_so(settings: Settings) -> None:
    found = run(settings, "check")
    assert (found.exit_code, found.stdout.splitlines()) == (
        0,
        ["the sandbox works", "all scripts and runners are in order"],
    )


def test_the_check_names_each_file_and_field_that_is_wrong(settings: Settings, tmp_path: Path) -> None:
    write_script(tmp_path / "bin", "tables/wrong.py", "", limits={"timeout_seconds": -1})
    idle = write_script(tmp_path / "bin", "idle.py", "", title="Not executable")
    idle.chmod(0o644)
    runner(tmp_path, "broken", command=["no-such-program"])
    (tmp_path / "tokens.yml").write_text(
        "- {purpose: 'SCRIPTING:EXECUTE:clean.py', roles: []}\n"
        "- {purpose: 'SCRIPTING:EXECUTE:tables/wrong.py', roles: []}\n"
    )
    more = {"authtoken_config": str(tmp_path / "tokens.yml"), "script_read_paths": (str(tmp_path / "nowhere"),)}
    found = run(settings.model_copy(update=more), "check")
    assert found.exit_code == EXIT_BAD_SETTINGS
    *problems, sandbox = found.stdout.splitlines()
    assert sandbox == "the sandbox works"
    for line, start in zip(
        problems,
        (
            f"{tmp_path}/bin/tables/wrong.py.json: limits.timeout_seconds: ",
            f"{tmp_path}/bin/idle.py: it is not executable",
            f"{tmp_path}/runners/broken.json: command: expected a program",
            f"{tmp_path}/tokens.yml: purpose: there is no script 'clean.py'",
            f"SCRIPT_READ_PATHS: {tmp_path}/nowhere is not there",
        ),
        strict=True,
    ):
        assert line.startswith(start)
    assert found.stderr == "Error: 5 of these lines name a file or a setting to be mended\n"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("server_side_scripting_bin_dirs", ("/nowhere",)),
        ("server_side_scripting_home_dir", Path("/nowhere")),
        ("runners_dir", Path("/nowhere")),
        ("authtoken_config", "/nowhere"),
    ],
)
def test_a_setting_that_names_nothing_is_the_only_thing_said(settings: Settings, setting: str, value: Any) -> None:
    found = run(settings.model_copy(update={setting: value}), "check")
    assert (found.exit_code, found.stdout) == (EXIT_BAD_SETTINGS, "")
    assert "/nowhere" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_the_check_says_that_the_sandbox_is_missing(settings: Settings, tmp_path: Path) -> None:
    without = settings.model_copy(update={"bubblewrap": "/nowhere/bwrap"})
    found = run(without, "check")
    assert (found.exit_code, found.stdout) == (EXIT_MISSING, "")
    assert "/nowhere/bwrap" in found.stderr
    runner(tmp_path, "broken", command=["no-such-program"])
    found = run(without, "check")
    assert found.exit_code == EXIT_BAD_SETTINGS
    assert "/nowhere/bwrap" in found.stdout


def test_the_check_says_where_there_is_nothing_to_shut_scripts_in_or_no_script(settings: Settings) -> None:
    found = run(settings.model_copy(update={"script_sandbox": "none"}), "check")
    assert found.exit_code == 0
    assert found.stdout.startswith("there is no sandbox, since SCRIPT_SANDBOX is 'none'")
    found = run(settings.model_copy(update={"server_side_scripting_bin_dirs": (), "runners_dir": None}), "check")
    assert (found.exit_code, found.stdout.startswith("there are no scripts")) == (0, True)
