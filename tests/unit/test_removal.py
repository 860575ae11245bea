"""What programs leave behind goes, however it was made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from knossos.jobs.removal import remove_tree
from knossos.jobs.workspace import LOCK_SUFFIX, Left, Workspace, sweep
from tests.support.sandbox import ORDINARY, a_place


def _make_deep(folder: Path, name: str, levels: int) -> int:
    """Folders below each other; answers a descriptor of the last."""
    current = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=current)
        below = os.open(name, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    return current


def test_folders_below_each_other_without_end_go(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    os.close(_make_deep(tree, "a", 3000))
    remove_tree(tree)
    assert list(tmp_path.iterdir()) == []
    remove_tree(tree)


def test_a_sweep_removes_them_as_well(tmp_path: Path) -> None:
    left = Workspace(tmp_path, 7, "execution").folder
    left.mkdir()
    os.close(_make_deep(left, "a", 3000))
    left.with_name(left.name + LOCK_SUFFIX).touch()
    assert sweep(tmp_path) == [Left(left.name, orphaned=False)]
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_tells_whether_the_worker_is_gone_as_well(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 7, "execution")
    workspace.hold()
    assert sweep(tmp_path) == [], "it is held"
    lock = workspace.folder.with_name(workspace.folder.name + LOCK_SUFFIX)
    assert lock.read_text().split() == [str(os.getpgrp()), str(os.getppid())]
    workspace.close()
    gone = subprocess.Popen(["true"])
    gone.wait()
    for worker, orphaned in ((os.getpid(), False), (gone.pid, True)):
        lock.write_text(f"{gone.pid} {worker}")
        assert sweep(tmp_path) == [Left(workspace.folder.name, orphaned)]


def test_links_go_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    tree = tmp_path / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    (tree / "c").mkdir()
    (tree / "a" / "link").symlink_to(outside)
    (tree / "a" / "b" / "link").symlink_to(outside / "file")
    os.mkfifo(tree / "c" / "fifo")
    remove_tree(tree)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "file").read_text() == "stays"
    (tmp_path / "tree").symlink_to(outside)
    with pytest.raises(OSError, match="tree"):
        remove_tree(tree)


def test_what_its_user_closed_is_opened_also_beyond_the_longest_path() -> None:
    with a_place("ordinary") as place:
        os.chown(place.folder, ORDINARY, ORDINARY) if os.geteuid() == 0 else None

        def make_and_remove() -> list[str]:
            deep = _make_deep(place.folder, "x" * 250, 40)
            os.mkdir("closed", dir_fd=deep)
            closed = os.open("closed", os.O_RDONLY, dir_fd=deep)
            os.mkdir("in it", 0o000, dir_fd=closed)
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o000, dir_fd=closed))
            for folder, mode in ((closed, 0o000), (deep, 0o500)):
                os.fchmod(folder, mode)
                os.close(folder)
            remove_tree(place.folder)
            place.folder.mkdir()
            return []

        assert place.as_user(make_and_remove) == []
