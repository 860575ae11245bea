"""The frame of the measurements: what is missing is named, what takes too long stops, half a run leaves nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as bench
from benchmarks import archives, growth, homes, installed, pace, queues, report
from benchmarks.chart import draw
from benchmarks.curve import draw_growth, points_of
from benchmarks.percentile import percentile
from benchmarks.words import WORDS
from knossos.errors import EXIT_MISSING
from knossos.settings import ROOT


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


@pytest.mark.parametrize("group", ["packaging", "queues", bench.ARCHIVES])
def test_a_peer_that_is_not_there_is_named_with_the_way_to_install_it(
    group: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda _name: None)
    assert bench.measure_here(group, tmp_path / "rows") == EXIT_MISSING
    assert "pip install -r requirements-bench.txt" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", ["OSError('libarchive.so.13')", "AttributeError('archive_errno')"])
def test_a_libarchive_without_its_c_library_is_named_with_the_way_to_install_it(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "libarchive.py").write_text(f"raise {said}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "libarchive", raising=False)
    assert bench.measure_here("packaging", tmp_path / "rows") == EXIT_MISSING
    assert "apt-get install libarchive13" in capsys.readouterr().err
    assert not (tmp_path / "rows").exists()


def test_a_group_whose_time_is_over_is_stopped_and_leaves_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(bench.Unmeasured) as caught:
        bench.measure("inspection", tmp_path, 0)
    assert caught.value.code == 1
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository with nothing in it but what a run writes to; groups answer at once."""
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr(bench, "measure", lambda group, *_: [row(f"{group}, among 2,000", 1, 2)])
    (tmp_path / "README.md").write_text(f"# Title\n\n{report.BEGIN}\nold\n{report.END}\n\nmore\n")
    return tmp_path


def files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_run_writes_the_page_the_pictures_and_its_part_of_the_readme(repository: Path) -> None:
    assert bench.main([]) == 0
    found = json.loads((repository / "docs" / "benchmarks.json").read_text())
    assert list(found["groups"]) == list(bench.GROUPS)
    page = (repository / "docs" / "benchmarks.md").read_text()
    for name, group in bench.GROUPS.items():
        assert f"## {group.title}" in page
        assert f"](images/bench-{name}.svg)" in page
        ElementTree.fromstring((repository / "docs" / "images" / f"bench-{name}.svg").read_text())
    readme = (repository / "README.md").read_text()
    assert readme.startswith("# Title\n")
    assert readme.endswith("\n\nmore\n")
    assert "\nold\n" not in readme
    assert "| engine, among 2,000 | 2 | 2 (a <peer>) | ms | 1 | 2 |" in readme
    assert len(json.loads((repository / "var" / "bench.json").read_text())) == len(bench.GROUPS)


def test_a_run_of_some_groups_leaves_what_a_whole_run_has_written_alone(repository: Path) -> None:
    assert bench.main([]) == 0
    before = files(repository)
    assert bench.main(["engine", "growth"]) == 0
    after = files(repository)
    changed = {str(path) for path in after if after[path] != before.get(path)}
    assert changed == {"var/bench.json", "var/bench/bench-engine.svg", "var/bench/bench-growth.svg"}


def test_a_whole_run_makes_its_archives_before_it_measures(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bench, "measure", lambda group, *_: asked.append(group) or [row(group, 1, 2)])
    assert bench.main([]) == 0
    assert asked == [bench.ARCHIVES, *bench.GROUPS]
    asked.clear()
    assert bench.main(["engine"]) == 0
    assert asked == ["engine"]


def test_making_the_archives_is_no_group_but_what_a_process_of_its_own_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(archives, "run", lambda folder: made.append(folder) or [])
    assert bench.main([bench.ARCHIVES, "--into", str(tmp_path / "rows")]) == 0
    assert made == [tmp_path]
    with pytest.raises(SystemExit):
        bench.main([bench.ARCHIVES])
    assert "there is no group 'archives'" in capsys.readouterr().err


def test_a_group_repeats_less_often_where_those_before_it_took_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    # Time is left for 200 seconds as planned, on a machine that is as quick as it should be, half as quick, and so on.
    assert pace.share(300, 100, 100, 200) == 1
    assert pace.share(300, 150, 100, 200) == 1, "nearly all is all"
    assert pace.share(290, 150, 100, 200) == 0.92
    assert pace.share(200, 200, 100, 200) == 0.47
    assert pace.share(1, 200, 100, 200) == pace.LEAST
    assert pace.share(600, 0, 0, 500) == 1
    monkeypatch.delenv(pace.SHARE, raising=False)
    assert [pace.rounds(planned) for planned in (1, 2, 6)] == [1, 2, 6]
    monkeypatch.setenv(pace.SHARE, "0.75")
    assert [pace.rounds(planned) for planned in (1, 2, 3, 6)] == [1, 1, 2, 4]


def test_what_share_of_its_rounds_a_group_had_is_given_to_its_process_and_said_on_the_page(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []

    def measure(group: str, _folder: Path, _left: float, share: float = 1.0) -> list[dict[str, Any]]:
        shares.append(share)
        return [row(group, 1, 2)]

    monkeypatch.setattr(bench, "measure", measure)
    planned = sum(group.seconds for group in bench.GROUPS.values())
    assert bench.main(["--seconds", str(planned / 2)]) == 0
    assert shares[0] == 1, "archives are made in any case"
    assert 0.4 < shares[1] < 0.5
    said = (repository / "docs" / "benchmarks.md").read_text()
    assert f"it took 0 s, with {shares[1]:.0%} of its rounds, since the time ran short." in said
    assert bench.main(["--seconds", str(planned / 2), "engine"]) == 0
    assert shares[-1] == 1, "some groups alone have the time of all"


def test_a_run_that_breaks_keeps_the_numbers_of_the_last_whole_one(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bench.main([]) == 0
    before = files(repository)

    def broken(group: str, *_: object) -> list[dict[str, Any]]:
        if group == "homes":
            raise bench.Unmeasured(EXIT_MISSING)
        return [row("a", 3, 2)]

    monkeypatch.setattr(bench, "measure", broken)
    assert bench.main([]) == EXIT_MISSING
    assert files(repository) == before


def test_the_readme_and_the_page_say_what_was_measured_last() -> None:
    stored = ROOT / "docs" / "benchmarks.json"
    found: report.Whole | None = json.loads(stored.read_text()) if stored.exists() else None
    readme = (ROOT / "README.md").read_text()
    assert readme == report.with_excerpt(readme, found)
    assert found is None or (ROOT / "docs" / "benchmarks.md").read_text() == report.page(found)


def test_the_excerpt_has_of_each_group_what_is_nearest_to_its_limit() -> None:
    groups: dict[str, report.Measured] = {
        "one": {"title": "One", "seconds": 70, "share": 1.0, "rows": [row("far", 0.5, 1.0), row("near", 1.9, 2.0)]},
        "two": {"title": "Two", "seconds": 5, "share": 0.75, "rows": [row("over", 4, 2.0), row("free", 9, None)]},
        "three": {"title": "Three", "seconds": 5, "share": 1.0, "rows": [row("unbound", 9, None)]},
    }
    said = report.excerpt({"date": "2026-01-02", "machine": "a machine", "groups": groups})
    assert "Of 3 figures with a limit 1 is over it." in said
    assert [line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| ")][1:] == ["near", "over"]
    assert "1 minutes and 20 seconds" in report.page({"date": "", "machine": "", "groups": groups})


def test_the_page_says_below_a_table_what_its_names_have_no_room_for() -> None:
    assert set(WORDS) <= set(bench.GROUPS)
    one: report.Measured = {"title": "One", "seconds": 70, "share": 1.0, "rows": [row("last", 0.5, 1.0)]}
    page = report.page({"date": "", "machine": "", "groups": {"queues": one, "engine": one}})
    assert (
        f"| last | 1.0 | 2 (a <peer>) | ms | 0.5 | 1.0 |\n\n{WORDS['queues']}\n\n`python -m benchmarks queues`" in page
    )
    assert page.count("**") == 2 + WORDS["queues"].count("**")


def test_a_readme_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="has not both"):
        report.with_excerpt("# Title\n", None)


def test_the_groups_fit_into_the_time_that_all_of_them_have() -> None:
    assert sum(group.seconds for group in bench.GROUPS.values()) <= bench.SECONDS


def test_a_machine_that_is_gone_has_rows_of_its_own_without_a_limit() -> None:
    figures = dict.fromkeys(queues.PEERS, queues.Figures(1, 1, 1, 20, 20))
    figures["Dramatiq"] = queues.Figures(1, 1, 1, 12, 12)
    rows = queues.rows_of({"ours": queues.Figures(1, 1, 1, 3, 18), **figures})
    [same, other] = [row for row in rows if row["peer_name"] == "Dramatiq, heartbeat_timeout 10 s"]
    assert "worker is killed, until a new one on the same machine" in same["name"]
    assert (same["ours"], same["peer"], same["ratio"], same["limit"]) == (3, 12, 0.25, 1.0)
    assert "worker's machine is gone" in other["name"]
    assert (other["ours"], other["peer"], other["ratio"], other["limit"]) == (18, 12, 1.5, None)
    assert len(rows) == 5 * len(queues.PEERS)


def test_a_list_that_has_all_jobs_is_compared_job_by_job() -> None:
    whole, each = homes.rows_of_lists({10: 0.004, 1_000: 0.02, 10_000: 0.16})
    assert (whole["ours"], whole["peer"], whole["ratio"], whole["limit"]) == (160, 4, 40, None)
    assert (each["ours"], each["peer"], each["ratio"], each["limit"]) == (16, 20, 0.8, 1.5)
    assert report.is_over(homes.rows_of_lists({10: 0.004, 1_000: 0.02, 10_000: 1.6})[1])


def test_a_curve_shows_each_size_and_marks_what_grows_faster_than_a_logarithm() -> None:
    rows = [
        {**row("flat, among 10,000", 1.0, 2.0), "peer_name": "among 100"},
        {**row("flat, among 1,000,000", 1.1, 3.0), "peer_name": "among 100"},
        {**row("steep, among 2,000 releases", 9.0, 1.65), "peer_name": "among 100"},
        row("no curve", 1.0, 1.0),
    ]
    assert points_of(rows) == {
        "flat": [(100, 1.0, 1.0), (10_000, 1.0, 2.0), (1_000_000, 1.1, 3.0)],
        "steep": [(100, 1.0, 1.0), (2_000, 9.0, 1.65)],
    }
    root = ElementTree.fromstring(draw_growth("Growth", rows))
    lines = [line.get("class") for line in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert lines == ["limit line", "ours line", "limit line", "over line"]
    assert "1,000,000" in "".join(root.itertext())


def test_a_figure_is_compared_with_the_fewest_among_which_it_was_measured() -> None:
    found = {
        count: {name: growth.Figure(value) for name, value in figures.items()}
        for count, figures in {
            100: {"status": 1.0},
            10_000: {"status": 2.0, "clean-up": 200.0},
            1_000_000: {"status": 3.0, "clean-up": 300.0},
        }.items()
    }
    rows = growth.rows_of(found, "")
    assert [(row["name"], row["peer_name"], row["ratio"], row["limit"]) for row in rows] == [
        ("status, among 10,000", "among 100", 2.0, 2.0),
        ("status, among 1,000,000", "among 100", 3.0, 3.0),
        ("clean-up, among 1,000,000", "among 10,000", 1.5, 1.5),
    ]
    assert points_of(rows)["clean-up"] == [(10_000, 1.0, 1.0), (1_000_000, 1.5, 1.5)]
    assert growth.rows_of({}, "") == []


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
    table = report.table([row("fine", 0.5, 1.0), row("slow", 40, 10), row("free", 1, None)])
    assert [("over" in line) for line in table.splitlines()[2:]] == [False, True, False]


def test_no_group_wants_a_redis_server_on_the_path() -> None:
    sources = Path(bench.__file__).parent.glob("*.py")
    assert [path.name for path in sources if "redis-server" in path.read_text()] == []


def test_every_group_can_be_measured() -> None:
    folder = Path(bench.__file__).parent
    assert all((folder / f"{group}.py").is_file() for group in bench.GROUPS)


def test_a_percentile_is_a_measured_value_and_never_beyond_the_greatest() -> None:
    assert percentile([1.0] * 59 + [10.0], 99) == 10.0
    assert percentile([1.0] * 59 + [10.0], 98) == 1.0
    assert percentile(range(200, 0, -1), 99) == 198
    assert percentile(range(1, 201), 10) == 20
    assert percentile([7.0], 99) == 7.0
    for values, percent in (([], 99), ([1.0], 0), ([1.0], 101)):
        with pytest.raises(ValueError, match="do not pass"):
            percentile(values, percent)
