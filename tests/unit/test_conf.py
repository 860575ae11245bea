"""The examples in conf/ are ones that this version of the server takes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from knossos.settings import ROOT, Settings
from knossos.settings_file import load_settings

#: KNOSSOS_DATA of the units, and the only place of ours to which they let a process write.
DATA = "/var/lib/knossos"
UNITS = sorted((ROOT / "conf" / "systemd").glob("*.service"))


@pytest.mark.parametrize("name", ["web", "worker"])
def test_the_settings_of_two_machines_are_settings(name: str) -> None:
    load_settings({"KNOSSOS_SETTINGS": str(ROOT / "conf" / "two-machines" / f"{name}.py")})


def test_two_machines_agree_on_what_they_share() -> None:
    web, worker = (
        load_settings({"KNOSSOS_SETTINGS": str(ROOT / "conf" / "two-machines" / f"{name}.py")})
        for name in ("web", "worker")
    )
    for name in ("redis", "database", "storage", "storage_options", "secret_key", "api_keys", "mirror_path"):
        assert getattr(web, name) == getattr(worker, name), name


def test_what_two_machines_write_to_lies_where_their_units_may_write() -> None:
    for name in ("web", "worker"):
        found = {"KNOSSOS_SETTINGS": str(ROOT / "conf" / "two-machines" / f"{name}.py"), "KNOSSOS_DATA": DATA}
        settings = load_settings(found)
        for folder in (settings.mirror_folder, settings.homes_folder, settings.work_folder):
            assert folder.is_relative_to(DATA)
    assert f"alias {DATA}/mirror/;" in (ROOT / "conf" / "nginx.conf").read_text()


def test_where_scripts_call_back_nginx_listens() -> None:
    host, port = Settings().api_listen
    assert f"    listen {host}:{port};\n" in (ROOT / "conf" / "nginx.conf").read_text()
    worker = load_settings({"KNOSSOS_SETTINGS": str(ROOT / "conf" / "two-machines" / "worker.py")})
    assert worker.script_callback.removeprefix("http://") in (ROOT / "conf" / "nginx.conf").read_text()


def test_the_example_of_readiness_and_every_figure_stand_in_the_operators_page_of_the_docs() -> None:
    from knossos.operating.figures import COUNTERS, HISTOGRAMS

    text = (ROOT / "docs" / "operating.md").read_text()
    for figure in COUNTERS:
        assert f"`{figure.public_name}_total`" in text, figure.name
    for figure in HISTOGRAMS:
        assert f"`{figure.public_name}`" in text, figure.name


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_unit(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text().replace("/opt/knossos/py-env/bin/python", "/usr/bin/env").replace("%i", "1")
    copy = tmp_path / unit.name.replace("@", "")
    copy.write_text(text)
    ended = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60)
    assert copy.name not in ended.stderr, ended.stderr
