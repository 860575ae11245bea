"""The frame of the measurements: what is missing is named, what takes too long stops, half a run leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as bench
from benchmarks import packaging, queues
from benchmarks.chart import draw
from knossos.errors import EXIT_MISSING


def row(name: str, ratio: float, limit: float | None) -> dict[str, Any]:
    return {
        "name": name,
        "ours": ratio * 2,
        "peer": 2,
        "peer_name": "a <peer>",
        "unit": "ms",
        "ratio": ratio,
        "limit": limit,
    }


@pytest.mark.parametrize("group", [packaging, queues], ids=["packaging", "queues"])
def test_a_peer_that_is_not_there_is_named_with_the_way_to_install_it(
    group: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(group, "find_spec", lambda _name: None)
    assert bench.measure_here(group.__name__.rpartition(".")[2], tmp_path / "rows") == EXIT_MISSING
    assert "pip install -r requirements-bench.txt" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_group_whose_time_is_over_is_stopped_and_leaves_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(bench.Unmeasured) as caught:
        bench.measure("inspection", tmp_path, 0)
    assert caught.value.code == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_breaks_keeps_the_numbers_of_the_last_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(group: str, *_: object) -> list[dict[str, Any]]:
        if group == "homes":
            raise bench.Unmeasured(EXIT_MISSING)
        return [row("a", 1, 2)]

    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "measure", broken)
    (tmp_path / "var").mkdir()
    (tmp_path / "docs" / "images").mkdir(parents=True)
    assert bench.main(["engine"]) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert json.loads(before[tmp_path / "var" / "bench.json"]) == [row("a", 1, 2)]
    assert bench.main(["engine", "homes"]) == EXIT_MISSING
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_group_that_is_none_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["everything"])
    assert "'everything'" in capsys.readouterr().err


def test_a_picture_is_whole_xml_and_shows_what_is_over_its_limit() -> None:
    picture = draw("Some & more", [row("fine", 0.5, 1.0), row("slow", 40, 10), row("free", 1, None)])
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    bars = [bar for bar in root.iter(f"{space}rect") if bar.get("class") != "ground"]
    assert [bar.get("class") for bar in bars] == ["ours", "over", "ours"]
    widths = [float(bar.get("width") or 0) for bar in bars]
    assert 0 < widths[0] < widths[2] < widths[1] <= 480
    assert "a <peer>" in "".join(root.itertext())
    assert len([line for line in root.iter(f"{space}line") if line.get("class") == "limit"]) == 2


def test_the_table_marks_what_is_over_its_limit() -> None:
    table = bench.table([row("fine", 0.5, 1.0), row("slow", 40, 10), row("free", 1, None)])
    assert [("over" in line) for line in table.splitlines()[2:]] == [False, True, False]


def test_every_group_can_be_measured() -> None:
    folder = Path(bench.__file__).parent
    assert all((folder / f"{group}.py").is_file() for group in bench.GROUPS)
