"""The tutorials of the docs, followed word for word: each command is typed as it stands, and what is seen is what the
page shows."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from knossos.settings import ROOT
from tests.support import machine

PAGES = sorted((ROOT / "docs" / "tutorials").glob("*.md"))

pytestmark = [
    # Clones share one virtual environment, which only one at a time may change.
    pytest.mark.xdist_group("clones"),
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network of its own for the addresses"),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not in pytest's own folder: long names leave no room for a Unix socket, and scripts may read nothing there.
    with tempfile.TemporaryDirectory(prefix="knossos-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def test_there_is_a_tutorial_for_each_kind_of_user() -> None:
    assert [page.stem for page in PAGES] == ["lab", "modder", "operator", "script-author"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page: Path, folder: Path) -> None:
    clone = machine.fresh_clone(folder)
    followed = machine.run_there("tests.support.run_tutorial", str(page), str(clone), seconds=550)
    assert followed.returncode == 0, followed.stdout


def test_a_page_that_says_something_else_than_what_happens_fails(folder: Path) -> None:
    clone = machine.fresh_clone(folder)
    page = folder / "page.md"
    for shown, code in [("1 2", 0), ("1 3", 1)]:
        page.write_text(f"```sh\nN=1\n```\n\n```sh\necho $N 2\n```\n\n```text\n{shown}\n```\n")
        assert machine.run_there("tests.support.run_tutorial", str(page), str(clone), seconds=60).returncode == code
    page.write_text("```sh\ntrue\nfalse\ntrue\n```\n")
    followed = machine.run_there("tests.support.run_tutorial", str(page), str(clone), seconds=60)
    assert followed.returncode == 1
    assert "a command ended with code 1" in followed.stdout
