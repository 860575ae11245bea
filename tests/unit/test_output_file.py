"""Where a result goes: whole files that keep what they were, links that stay, devices that are not replaced."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from knossos.packaging.output_file import OutputFailed, TargetUnusable, check_target, json_pieces, write_output


def test_a_new_file_has_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    new, old = tmp_path / "new.json", tmp_path / "old.json"
    old.write_text("old")
    old.chmod(0o640)
    mask = os.umask(0o022)
    try:
        for path in (new, old):
            check_target(str(path))
            write_output(str(path), ["one", " two"])
    finally:
        os.umask(mask)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, old)] == [0o644, 0o640]
    assert new.read_text() == old.read_text() == "one two"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.json", "old.json"]


def test_a_symbolic_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to("real/file.json")
    for text in ("first", "second"):
        check_target(str(link))
        write_output(str(link), [text])
        assert link.is_symlink()
        assert (tmp_path / "real" / "file.json").read_text() == text
    assert len(list((tmp_path / "real").iterdir())) == 1


def test_a_fifo_is_written_to_and_still_there(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(fifo.read_text()))
    reader.start()
    check_target(str(fifo))
    write_output(str(fifo), ["text"])
    reader.join(10)
    assert got == ["text"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_device_is_written_to_and_what_goes_wrong_is_named(tmp_path: Path) -> None:
    write_output("/dev/null", ["text"])
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OutputFailed, match="/dev/full cannot be written: No space left"):
        write_output("/dev/full", ["text"])
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_a_failure_in_between_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def pieces() -> object:
        yield "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_output(str(tmp_path / "a"), pieces())  # type: ignore[arg-type]
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


@pytest.mark.parametrize("name", ["", "folder", "none/file"])
def test_what_cannot_be_written_is_refused_before_the_work(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(TargetUnusable):
        check_target(str(tmp_path / name))


def test_json_is_indented_down_to_the_files_of_which_each_takes_a_line() -> None:
    data = {"mods": [{"packages": [{"filelist": [{"filename": "ä", "x": [1, None]}, {}], "files": []}]}], "empty": {}}
    text = "".join(json_pieces(data))
    assert json.loads(text) == data
    assert text.splitlines()[:2] == ["{", '  "mods": [']
    assert text.splitlines()[5:7] == [" " * 10 + '"filelist": [', " " * 12 + '{"filename": "ä", "x": [1, null]},']
