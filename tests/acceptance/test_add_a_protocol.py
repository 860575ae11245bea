"""docs/add-a-protocol.md: its code is put into a fresh clone, and its commands are typed there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from knossos.settings import ROOT
from tests.support import machine, page_code

PAGE = ROOT / "docs" / "add-a-protocol.md"


@pytest.mark.slow
@pytest.mark.xdist_group("clones")
@pytest.mark.timeout(600)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a machine of its own")
def test_the_protocol_of_the_page_works_as_it_stands_there() -> None:
    with tempfile.TemporaryDirectory(prefix="knossos-") as folder:
        clone = machine.fresh_clone(Path(folder))
        touched = page_code.put_into(clone, PAGE.read_text("utf-8"))
        assert {"knossos/sums.py", "knossos/web/sums.py", "knossos/web/app.py"} <= set(touched)
        followed = machine.run_there("tests.support.run_tutorial", str(PAGE), str(clone), seconds=550)
    assert followed.returncode == 0, followed.stdout
    assert " passed" in followed.stdout


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ('```python title="LICENSE.txt"\n```\n', "already"),
        ("```diff\n--- a/LICENSE.txt\n+++ b/LICENSE.txt\n@@\n two\n+three\n```\n", "2 times"),
        ("```diff\n--- a/LICENSE.txt\n+++ b/LICENSE.txt\n@@\n-four\n```\n", "0 times"),
    ],
)
def test_code_that_does_not_fit_the_tree_is_told(tmp_path: Path, page: str, problem: str) -> None:
    (tmp_path / "LICENSE.txt").write_text("one\ntwo\ntwo\n")
    with pytest.raises(ValueError, match=problem):
        page_code.put_into(tmp_path, page)


def test_a_change_is_made_where_its_lines_are(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\nthree\n")
    page_code.put_into(tmp_path, "```diff\n--- a/a.txt\n+++ b/a.txt\n@@\n one\n-two\n+2\n@@\n three\n+four\n```\n")
    assert (tmp_path / "a.txt").read_text() == "one\n2\nthree\nfour\n"
