"""The folder of runners: what is there counts from the next request on, and what is broken is alone with that."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from knossos.errors import SettingsError
from knossos.scripting.runners.folder import BrokenRunner, NoSuchRunner, Runners
from knossos.settings import ROOT, Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "runners"
    made.mkdir()
    return made


@pytest.fixture
def runners(folder: Path) -> Runners:
    return Runners(Settings(runners_dir=folder))


def write(folder: Path, name: str, **fields: Any) -> Path:
    file = folder / f"{name}.json"
    file.write_text(json.dumps({"command": ["/bin/true"], **fields}))
    return file


def test_runners_come_change_and_go_without_a_restart(folder: Path, runners: Runners) -> None:
    with pytest.raises(NoSuchRunner):
        runners.find("plate")
    file = write(folder, "plate", title="One")
    assert runners.find("plate").title == "One"
    # Another size, another time, another file: each is a change.
    write(folder, "plate", title="Two and more")
    assert runners.find("plate").title == "Two and more"
    write(folder, "other", title="Two and less")
    os.replace(folder / "other.json", file)
    assert runners.find("plate").title == "Two and less"
    assert [runner.name for runner in runners.all()] == runners.names() == ["plate"]
    file.unlink()
    with pytest.raises(NoSuchRunner):
        runners.find("plate")
    assert runners.all() == []


def test_a_broken_file_is_named_with_its_field_and_takes_no_other_down(folder: Path, runners: Runners) -> None:
    write(folder, "good")
    write(folder, "field", outputs={"results": {"kind": "file", "format": "xml"}})
    write(folder, "program", command=["no-such-program"])
    write(folder, "relative", command=["./run.sh"])
    write(folder, "rundir", command_rundir=str(folder / "nowhere"))
    write(folder, "base", command_rundir_base=str(folder / "nowhere"))
    write(folder, "long", command_rundir="x" * 300)
    write(folder, "circle", command_rundir_base=str(folder / "circle"))
    (folder / "circle").symlink_to("circle")
    write(folder, "read", read_paths=["relative"])
    write(folder, "secrets", read_paths=["/"])
    (folder / "json.json").write_text("{")
    (folder / "list.json").write_text("[]")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "large.json").write_text(" " * 1024 * 1024 + "{}")
    (folder / "folder.json").mkdir()
    (folder / "notes.txt").write_text("no runner")
    (folder / ".hidden.json").write_text("no runner")
    said = runners.check()
    for start in (
        "base.json: command_rundir_base: expected a folder",
        "circle.json: command_rundir_base: expected a folder",
        "deep.json: this is no JSON",
        "field.json: outputs.results.format: ",
        "folder.json: this is no JSON",
        "json.json: this is no JSON",
        "large.json: expected at most",
        "list.json: ",
        "long.json: command_rundir: expected a folder",
        "program.json: command: expected a program",
        "read.json: read_paths: ",
        "relative.json: command: expected a program",
        "rundir.json: command_rundir: expected a folder",
        "secrets.json: read_paths: / holds DATA_PATH",
    ):
        assert [one for one in said if one.startswith(start)], (start, said)
    assert len(said) == 14
    assert [runner.name for runner in runners.all()] == ["good"]
    with pytest.raises(BrokenRunner, match=r"field\.json"):
        runners.find("field")
    write(folder, "field")
    assert runners.find("field").name == "field"


def test_a_program_is_absolute_or_found_on_the_path_of_scripts(folder: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "report"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    runners = Runners(Settings(runners_dir=folder, script_path=f"{program.parent}:/bin"))
    write(folder, "plate", command=["report"])
    with pytest.raises(BrokenRunner, match="expected a program"):
        runners.find("plate")
    program.chmod(0o755)
    assert runners.find("plate").program == str(program)


def test_files_that_the_command_names_may_be_read_by_it(folder: Path, tmp_path: Path, runners: Runners) -> None:
    script, base = tmp_path / "report.py", tmp_path / "base"
    script.write_text("")
    base.mkdir()
    command = ["/bin/sh", str(script), str(base), "/no/such", "report.py"]
    write(folder, "plate", command=command, command_rundir=str(tmp_path), command_rundir_base=str(base),
          read_paths=[str(base)])  # fmt: skip
    found = runners.find("plate")
    assert found.read_paths == (str(base), str(script))
    assert (found.command_rundir, found.command_rundir_base) == (str(tmp_path), str(base))


@pytest.mark.parametrize("name", ["", ".", "..", "../secret", "a/b", "a\0b", ".hidden", "x" * 300, "ä", "plate.json"])
def test_a_name_never_leads_out_of_the_folder(folder: Path, tmp_path: Path, runners: Runners, name: str) -> None:
    write(tmp_path, "secret")
    write(folder, ".hidden")
    with pytest.raises(NoSuchRunner):
        runners.find(name)
    assert runners.select(name)[0] == "config"


def test_a_first_part_that_names_a_runner_selects_it_and_all_else_is_the_default_runners(
    folder: Path, runners: Runners
) -> None:
    write(folder, "config")
    write(folder, "plate")
    (folder / "broken.json").write_text("{")
    assert runners.select("plate/P7/a") == ("plate", "P7/a")
    assert runners.select("plate") == ("plate", "")
    assert runners.select("broken/P7") == ("broken", "P7")
    assert runners.select("P7/plate") == ("config", "P7/plate")
    assert runners.select("config/P7") == ("config", "config/P7")
    assert runners.select("") == ("config", "")


def test_without_a_folder_there_are_no_runners_and_a_folder_that_is_none_is_a_wrong_setting(folder: Path) -> None:
    none = Runners(Settings())
    assert (none.check(), none.names(), none.all(), none.select("a/b")) == ([], [], [], ("config", "a/b"))
    with pytest.raises(NoSuchRunner):
        none.find("config")
    with pytest.raises(SettingsError, match="RUNNERS_DIR"):
        Runners(Settings(runners_dir=folder / "no")).check()


def test_the_example_is_a_runner() -> None:
    runners = Runners(Settings(runners_dir=ROOT / "conf" / "runners"))
    assert runners.check() == []
    assert [runner.name for runner in runners.all()] == ["config"]
