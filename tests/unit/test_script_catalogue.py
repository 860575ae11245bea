"""Which files in the folders of scripts are scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from knossos.scripting.catalogue import Catalogue, NoSuchScript
from knossos.settings import Settings
from tests.support.script_scenes import write_script


def test_the_file_beside_a_script_is_none_even_where_every_file_is_executable(tmp_path: Path) -> None:
    write_script(tmp_path, "measure.py", "", title="Measure")
    (tmp_path / "measure.py.json").chmod(0o755)
    write_script(tmp_path, "alone.json", "")
    catalogue = Catalogue(Settings(server_side_scripting_bin_dirs=(str(tmp_path),)))
    assert [script.name for script in catalogue.scripts()] == ["alone.json", "measure.py"]
    assert catalogue.find("measure.py").title == "Measure"
    with pytest.raises(NoSuchScript):
        catalogue.find("measure.py.json")
