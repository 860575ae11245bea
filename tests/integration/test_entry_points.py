"""What the entry points say to arguments that they do not know: nothing is done by a slip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, argument: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    # Settings that cannot be read: whoever looks at them before the arguments says something else.
    (tmp_path / "settings.py").write_text("THIS IS NOT PYTHON")
    environment = {**os.environ, "KNOSSOS_SETTINGS": str(tmp_path / "settings.py")}
    command = [sys.executable, script, argument]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("script", ["worker.py", "cron.py", "websocket_server.py"])
def test_an_unknown_argument_is_refused_and_help_only_helps(script: str, tmp_path: Path) -> None:
    refused = run(script, "--bogus", tmp_path)
    assert refused.returncode == 2
    assert "unrecognized arguments: --bogus" in refused.stderr
    helped = run(script, "--help", tmp_path)
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith(f"usage: {script} ")
