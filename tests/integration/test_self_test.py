"""The mod that a worker packages for itself at its start."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import pytest

from knossos.errors import MissingDependency
from knossos.packaging.self_test import self_test
from knossos.settings import Settings


def test_a_healthy_machine_passes_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with caplog.at_level(logging.ERROR):
        self_test(Settings(data_path=tmp_path / "data"))
    assert caplog.records == []
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "data").exists()


def test_a_machine_without_7_zip_is_told_so_at_once(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="SEVENZIP"):
        self_test(Settings(data_path=tmp_path, sevenzip=str(tmp_path / "no-such-program")))


def test_what_else_does_not_work_is_said_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    self_test(Settings(data_path=tmp_path, sevenzip="/bin/true"))
    assert "the self-test failed" in caplog.text
