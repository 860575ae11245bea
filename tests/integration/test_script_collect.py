"""What is kept of a run's folders, and which traps in them are not followed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from knossos.scripting.collect import MAX_DEPTH, MAX_KEPT, MAX_TOLD, Collector, matches
from knossos.scripting.plan import FileRole, ResultsPlan
from knossos.scripting.runners.outputs import ResultsBroken
from knossos.settings import Settings
from knossos.storage import Storage
from tests.support.sandbox import a_place

MOST = 1_000_000


class Scene:
    """A run's folder, and a collector that keeps from it."""

    def __init__(self, folder: Path) -> None:
        self.storage = Storage(Settings(data_path=folder / "data"))
        self.warnings: list[str] = []
        self.collector = Collector("00000000-0000-0000-0000-000000000000", self.storage, self.warnings.append, MOST)
        self.folder = folder / "run"
        self.folder.mkdir()
        self.outside = folder / "secret"
        self.outside.write_text("secret")

    def bytes_of(self, name: str) -> bytes:
        kept = next(file for file in self.collector.kept if file.name == name)
        return b"".join(self.storage.read(kept.key))

    @property
    def names(self) -> list[str]:
        return [file.name for file in self.collector.kept]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_files_in_folders_are_kept_by_their_paths(scene: Scene) -> None:
    (scene.folder / "plots").mkdir()
    (scene.folder / "plots" / "a.png").write_bytes(b"png")
    (scene.folder / "b.txt").write_bytes(b"text")
    scene.collector.keep_shared(scene.folder)
    assert scene.names == ["b.txt", "plots/a.png"]
    assert scene.bytes_of("plots/a.png") == b"png"
    assert [file.size for file in scene.collector.kept] == [4, 3]


def test_links_fifos_and_names_that_are_no_text_are_left_and_named(scene: Scene) -> None:
    (scene.folder / "link").symlink_to(scene.outside)
    (scene.folder / "folder").symlink_to(scene.outside.parent)
    os.mkfifo(scene.folder / "fifo")
    Path(os.fsdecode(os.fsencode(scene.folder) + b"/\xff\xfe")).write_text("x")
    (scene.folder / "line\nbreak").write_text("x")
    (scene.folder / "good").write_text("x")
    scene.collector.keep_shared(scene.folder)
    assert scene.names == ["good"]
    told = "\n".join(scene.warnings)
    assert "link is not kept: it is a symbolic link." in told
    assert "fifo is not kept: it is not a regular file." in told
    assert told.count("its name holds characters that are no text") == 2


def test_there_is_an_end_to_what_is_kept(scene: Scene) -> None:
    for number in range(MAX_KEPT + 5):
        (scene.folder / f"{number:05}").touch()
    scene.collector.keep_shared(scene.folder)
    assert len(scene.names) == MAX_KEPT
    assert scene.warnings == [f"There are more than {MAX_KEPT} files to keep; those from {MAX_KEPT:05} on are not."]


@pytest.mark.parametrize(
    ("name", "pattern", "fits"),
    [
        ("a.pdf", "*.pdf", True),
        ("out/a.pdf", "*.pdf", False),
        ("out/a.pdf", "out/*.pdf", True),
        ("out/deep/a.pdf", "**/*.pdf", True),
        ("a.pdf", "**/*.pdf", True),
        (".hidden.pdf", "*.pdf", False),
        (".hidden.pdf", ".h*.pdf", True),
        (".git/a.pdf", "**/a.pdf", False),
        ("a1.csv", "a?.csv", True),
        ("a1.csv", "a[12].csv", True),
        ("LIMS_results.csv", "/LIMS_results.csv", True),
    ],
)
def test_patterns_are_those_of_shells(name: str, pattern: str, fits: bool) -> None:
    assert matches(name, (pattern,)) is fits


def test_results_are_kept_as_json(scene: Scene, tmp_path: Path) -> None:
    (scene.folder / "r.csv").write_text("a,b\n1,2\n")
    plan = ResultsPlan(source="file", format="csv", path="r.csv")
    scene.collector.keep_results(plan, scene.folder, {}, tmp_path / "results.json")
    scene.collector.keep_attachments(("*.csv",), scene.folder)
    assert json.loads(scene.bytes_of("results.json")) == [{"a": "1", "b": "2"}]
    assert scene.bytes_of("r.csv") == b"a,b\n1,2\n"
    assert [file.role for file in scene.collector.kept] == [FileRole.RESULTS, FileRole.ATTACHMENT]


@pytest.mark.parametrize("trap", ["missing", "link", "folder", "linked folder"])
def test_results_that_are_no_file_of_the_run_are_an_error(scene: Scene, tmp_path: Path, trap: str) -> None:
    path = "r.csv"
    if trap == "link":
        (scene.folder / "r.csv").symlink_to(scene.outside)
    elif trap == "folder":
        (scene.folder / "r.csv").mkdir()
    elif trap == "linked folder":
        (scene.folder / "out").symlink_to(scene.outside.parent)
        path = "out/secret"
    plan = ResultsPlan(source="file", format="csv", path=path)
    with pytest.raises(ResultsBroken, match=path):
        scene.collector.keep_results(plan, scene.folder, {}, tmp_path / "results.json")
    assert scene.collector.kept == []


def test_a_file_with_holes_counts_as_long_as_it_is(scene: Scene) -> None:
    with (scene.folder / "holes").open("wb") as file:
        file.truncate(MOST)
    (scene.folder / "small").write_bytes(b"x")
    (scene.folder / "a").write_bytes(b"x")
    scene.collector.keep_shared(scene.folder)
    assert scene.names == ["a", "small"]
    assert scene.warnings == [f"holes is not kept: it is too large ({MOST} bytes)."]


def test_folders_below_each_other_are_searched_to_a_depth_and_not_beyond(scene: Scene) -> None:
    current = os.open(scene.folder, os.O_RDONLY)
    for level in range(MAX_DEPTH + 50):
        if level in (MAX_DEPTH, MAX_DEPTH + 1):
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=current))
        os.mkdir("a", dir_fd=current)
        below = os.open("a", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    scene.collector.keep_shared(scene.folder)
    assert scene.names == ["a/" * MAX_DEPTH + "file"]


def test_thousands_of_traps_are_not_told_one_by_one(scene: Scene) -> None:
    for number in range(MAX_TOLD + 30):
        (scene.folder / str(number)).symlink_to(scene.outside)
    scene.collector.keep_shared(scene.folder)
    assert len(scene.warnings) == MAX_TOLD + 1
    assert scene.warnings[-1] == "30 more files are not kept."


def test_what_the_run_closed_to_its_own_user_is_kept_and_can_be_read() -> None:
    with a_place("ordinary") as place:

        def keep() -> dict[str, str]:
            (place.root / "scene").mkdir()
            scene = Scene(place.root / "scene")
            (scene.folder / "b" / "c").mkdir(parents=True)
            for name in ("a", "b/c/d"):
                (scene.folder / name).write_text("text")
            for name in ("a", "b/c/d", "b/c", "b"):
                (scene.folder / name).chmod(0)
            scene.collector.keep_shared(scene.folder)
            return {name: scene.bytes_of(name).decode() for name in scene.names}

        assert place.as_user(keep) == {"a": "text", "b/c/d": "text"}
