"""What is promised of the way in which tests are run: in CI a skipped test is a failure, an expected failure is none;
tests that share an expensive server stay in one process."""

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
    # The plugins of all that is installed take seconds to load, and none is needed.
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
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


@pytest.mark.xdist_group("of this test")
def test_tests_of_one_group_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """The end of the id is what pytest-xdist groups by. With a pytest that it does not know it says nothing, groups
    nothing, and each process starts the servers and browsers of all groups."""
    is_distributed = hasattr(request.config, "workerinput")
    assert request.node.nodeid.endswith("@of this test") == is_distributed
