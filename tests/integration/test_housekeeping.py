"""Tidying the mirror while others make and remove folders in it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from knossos.packaging.housekeeping import remove_unfinished


def old_file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("half")
    os.utime(path, (0, 0))
    return path


@contextmanager
def churn(folder: Path) -> Iterator[None]:
    """Folders that come and go."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            (folder / "a" / "b").mkdir(parents=True, exist_ok=True)
            (folder / "a" / "b" / ".x.part").write_text("")
            shutil.rmtree(folder / "a", ignore_errors=True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_folders_that_vanish_under_the_walk_do_not_end_it(tmp_path: Path) -> None:
    with churn(tmp_path / "1"), churn(tmp_path / "2"), churn(tmp_path / "3"):
        for number in range(150):
            left = old_file(tmp_path / "z" / str(number) / ".old.part")
            assert remove_unfinished(tmp_path, 1000) == 1
            assert not left.exists()


def test_only_old_unfinished_files_go(tmp_path: Path) -> None:
    gone = [old_file(tmp_path / "mods" / ".a.7z.part"), old_file(tmp_path / ".incoming-1")]
    kept = [old_file(tmp_path / "mods" / "a.7z"), old_file(tmp_path / "a.part")]
    young = tmp_path / ".young.part"
    young.write_text("")
    link = tmp_path / ".link.part"
    link.symlink_to(kept[0])
    (tmp_path / ".folder.part").mkdir()
    assert remove_unfinished(tmp_path, 1000) == 2
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in [*kept, young, link])
    assert remove_unfinished(tmp_path / "nothing", 1) == 0
