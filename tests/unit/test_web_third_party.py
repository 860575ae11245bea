"""Files from others are served only where they are the ones that were reviewed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from knossos.errors import MissingDependency
from knossos.web import third_party


def folder_with(tmp_path: Path, **changes: Any) -> Path:
    entry = json.loads((third_party.FOLDER / "manifest.json").read_text())["files"][0]
    (tmp_path / "manifest.json").write_text(json.dumps({"files": [{**entry, **changes}]}))
    return tmp_path


def test_files_are_copied_once_and_again_when_they_were_changed(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    path = third_party.manifest(folder).files[0].path
    assert third_party.missing(folder) == [path]
    assert third_party.install(folder) == [path]
    assert third_party.missing(folder) == []
    assert third_party.install(folder) == []
    (folder / path).write_text("changed")
    assert third_party.missing(folder) == [path]
    assert third_party.install(folder) == [path]


@pytest.mark.parametrize(
    "changes",
    [{"integrity": "sha384-other"}, {"module": "no_such_module"}, {"source": "static/no-such-file.css"}],
)
def test_a_file_that_is_not_the_reviewed_one_is_refused(tmp_path: Path, changes: dict[str, str]) -> None:
    folder = folder_with(tmp_path, **changes)
    with pytest.raises(MissingDependency):
        third_party.install(folder)
    assert [path for path in folder.rglob("*") if path.is_file()] == [folder / "manifest.json"]


def test_every_file_names_its_licence_and_its_package() -> None:
    for file in third_party.manifest().files:
        assert file.licence
        assert file.package
        assert file.integrity.startswith("sha384-")
