"""scripts/environment.py, which installs what everything else needs: what it says meanwhile."""

from __future__ import annotations

import sys

import pytest

from scripts import environment


def test_one_sees_what_pip_is_at_while_it_takes_its_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "TELL_SECONDS", 0.0)
    program = "print('Collecting flask', flush=True); print('Downloading flask.whl (1 MB)'); raise SystemExit(3)"
    assert environment.run_telling([sys.executable, "-c", program]) == 3
    told = capsys.readouterr().err.splitlines()
    assert "launch     | still at it: Downloading flask.whl (1 MB)" in told


def test_what_pip_wrote_is_shown_only_where_it_failed(capsys: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print('WARNING: a trifle', file=sys.stderr); sys.exit({})"
    assert environment.run_telling([sys.executable, "-c", program.format(0)]) == 0
    assert capsys.readouterr().err == ""
    assert environment.run_telling([sys.executable, "-c", program.format(1)]) == 1
    assert capsys.readouterr().err == "WARNING: a trifle\n"
