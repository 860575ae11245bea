"""What launch.sh decides: when to start a child again or give up, and what it refuses before it starts anything."""

from __future__ import annotations

import importlib.abc
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from knossos.errors import MissingDependency, SettingsError
from knossos.launch import embedded_redis, preflight
from knossos.launch.processes import CRASH_LIMIT, CRASH_WINDOW_SECONDS, FIRST_PAUSE, LONGEST_PAUSE, restart_pause
from knossos.settings import Settings


def test_the_first_crash_is_mended_almost_at_once_and_later_ones_after_longer_pauses() -> None:
    pauses = [restart_pause([100.0] * count, 100.0) for count in range(1, CRASH_LIMIT)]
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses, key=float)  # type: ignore[arg-type]
    assert all(pause is not None and pause <= LONGEST_PAUSE for pause in pauses)


def test_a_child_that_crashes_again_and_again_is_given_up() -> None:
    assert restart_pause([100.0 + number for number in range(CRASH_LIMIT)], 110.0) is None


@pytest.mark.parametrize("count", [1, 50])
def test_crashes_of_long_ago_do_not_count(count: int) -> None:
    old = [float(number) for number in range(count)]
    now = old[-1] + CRASH_WINDOW_SECONDS + 1
    assert restart_pause([*old, now], now) == FIRST_PAUSE


@pytest.mark.parametrize("name", ["with a space", "with:colon", "b\u00fccher", "x" * 100])
def test_a_socket_never_has_a_path_that_redis_and_its_client_read_differently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "also with a space"))
    _, socket = embedded_redis.configure(Settings(data_path=tmp_path / name))
    try:
        assert str(socket).isascii()
        assert not set(str(socket)) & set(" :")
        assert len(str(socket)) < 104
    finally:
        socket.parent.rmdir()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80), True),
        (("127.0.0.1", 80), ("127.0.0.1", 81), False),
        (("127.0.0.1", 80), ("127.0.0.2", 80), False),
        (("127.0.0.1", 80), ("localhost", 80), True),
        (("0.0.0.0", 80), ("127.0.0.1", 80), True),
        (("127.0.0.1", 80), ("::", 80), True),
        (("", 80), ("127.0.0.1", 80), True),
    ],
)
def test_two_servers_on_one_port_are_told_apart_by_their_addresses(
    first: tuple[str, int], second: tuple[str, int], expected: bool
) -> None:
    assert preflight.overlap(first, second) is expected
    assert preflight.overlap(second, first) is expected


@pytest.mark.parametrize("url", ["postgresql+nonsense://host/x", "sqlite://host:x/y"])
def test_a_database_that_nobody_knows_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match=r"DATABASE: expected an SQLAlchemy URL"):
        preflight.check_database(Settings(data_path=tmp_path, database=url))


def test_the_usual_database_needs_no_driver(tmp_path: Path) -> None:
    preflight.check_database(Settings(data_path=tmp_path))


@pytest.mark.parametrize("name", ["data_path", "mirror_path", "work_path"])
@pytest.mark.parametrize("below", [Path(), Path("further", "down")])
def test_a_folder_that_is_a_file_is_named(tmp_path: Path, name: str, below: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = Settings(**{"data_path": tmp_path / "data", name: tmp_path / "file" / below})
    with pytest.raises(SettingsError, match=rf"{name.upper()}: .*cannot be written: .*expected a folder") as caught:
        preflight.check_folders(settings)
    assert caught.value.setting == name.upper()


@pytest.mark.parametrize("script", ["exit 0", "echo something else", "exec sleep 600"])
def test_a_program_that_is_no_seven_zip_is_told_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(preflight, "SEVENZIP_SECONDS", 0.5)
    program = tmp_path / "7zz"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(SettingsError, match=r"SEVENZIP: .*does not answer as 7-Zip does; expected"):
        preflight.check_sevenzip(Settings(data_path=tmp_path, sevenzip=str(program)))


def test_a_driver_that_is_not_installed_is_named_with_its_package(
    tmp_path: Path, without: Callable[[str], None]
) -> None:
    for url, module, package in (
        ("postgresql+psycopg2://host/x", "psycopg2", "psycopg2-binary"),
        ("postgresql://host/x", "psycopg", "psycopg[binary]"),
    ):
        without(module)
        with pytest.raises(MissingDependency, match=r"DATABASE: .*needs the Python package") as caught:
            preflight.check_database(Settings(data_path=tmp_path, database=url))
        assert package in str(caught.value)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a module one that is not installed."""

    class Absent(importlib.abc.MetaPathFinder):
        def __init__(self) -> None:
            self.names: set[str] = set()

        def find_spec(self, name: str, *_: object) -> None:
            if name in self.names:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    finder = Absent()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])

    def remove(name: str) -> None:
        finder.names.add(name)
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, loaded)

    return remove
