"""In CI a skipped test is a failure, an expected failure is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from knossos.settings import ROOT

TESTS = """
import pytest
def test_skipped(): pytest.skip("no nginx")
@pytest.mark.xfail(strict=True)
def test_expected(): assert False
"""


@pytest.mark.parametrize(("ci", "code", "words"), [("true", 1, "1 failed, 1 xfailed"), ("", 0, "1 skipped, 1 xfailed")])
def test_a_skip_fails_in_ci_only(tmp_path: Path, ci: str, code: int, words: str) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.ci", "-p", "no:cacheprovider"]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-c", os.devnull, str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == code, answer.stdout
    assert words in answer.stdout
    assert "no nginx" in answer.stdout or not ci


@pytest.mark.xdist_group("grouping")
def test_tests_of_one_group_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """Many share a server that takes seconds to start; pytest-xdist tells them by the end of their names."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@grouping")
