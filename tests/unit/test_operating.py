"""What needs no server of the operator's side: who may read figures, how they are written, ids in logs, what counts."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
from pathlib import Path

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from knossos import tally, tracing
from knossos.errors import SettingsError
from knossos.logs import configure_logging
from knossos.operating.collector import families
from knossos.operating.disks import tree_bytes
from knossos.operating.readiness import Asker, NotReady
from knossos.operating.reading import may_read_figures
from knossos.settings import Settings
from knossos.settings_file import load_settings

TOKEN = "a-token-of-the-operator"
SETTINGS = Settings(data_path=Path("unused"), metrics_token=TOKEN)


@pytest.mark.parametrize(
    ("address", "forwarded", "authorization", "allowed"),
    [
        ("127.0.0.1", False, "", True),
        ("::1", False, "", True),
        ("127.0.0.1", True, "", False),
        ("192.0.2.1", False, "", False),
        ("", False, "", False),
        ("192.0.2.1", True, f"Bearer {TOKEN}", True),
        ("192.0.2.1", True, f"bearer {TOKEN}", True),
        ("192.0.2.1", False, "Bearer another-token-of-them", False),
        ("192.0.2.1", False, f"Basic {TOKEN}", False),
        ("127.0.0.1", False, "Bearer another-token-of-them", False),
    ],
)
def test_figures_are_for_this_machine_and_for_those_with_the_token(
    address: str, forwarded: bool, authorization: str, allowed: bool
) -> None:
    answer = may_read_figures(SETTINGS, address=address, forwarded=forwarded, authorization=authorization)
    assert answer is allowed


def test_without_a_token_in_the_settings_no_token_helps() -> None:
    settings = Settings(data_path=Path("unused"))
    for sent in ("Bearer ", "Bearer", "Bearer x"):
        assert not may_read_figures(settings, address="192.0.2.1", forwarded=False, authorization=sent)


def test_a_token_that_can_be_guessed_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("METRICS_TOKEN = 'short-secret'\n")
    with pytest.raises(SettingsError, match="METRICS_TOKEN: expected a token of at least 16") as caught:
        load_settings({"KNOSSOS_SETTINGS": str(tmp_path / "settings.py")})
    assert "short-secret" not in str(caught.value)


def test_counters_become_series_that_prometheus_reads_with_buckets_that_add_up() -> None:
    counts = {
        ("jobs", "conversion", "failed"): 2.0,
        ("job_time", "conversion", "0.1"): 3.0,
        ("job_time", "conversion", "30"): 1.0,
        ("job_time", "conversion", "+Inf"): 1.0,
        ("job_time", "conversion", "sum"): 90000.5,
        ("of an older version", "x"): 1.0,
        ("jobs", "too", "many", "labels"): 1.0,
    }

    class Fixed:
        def collect(self) -> object:
            return families(counts)

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(generate_latest(Fixed()).decode())  # type: ignore[arg-type]
        for sample in family.samples
    }
    assert found["knossos_jobs_ended_total", "conversion", "failed"] == 2
    buckets = [found["knossos_job_duration_seconds_bucket", "conversion", end] for end in ("0.1", "5.0", "30.0")]
    assert buckets == [3, 3, 4]
    assert found["knossos_job_duration_seconds_bucket", "conversion", "+Inf"] == 5
    assert found["knossos_job_duration_seconds_count", "conversion"] == 5
    assert found["knossos_job_duration_seconds_sum", "conversion"] == 90000.5
    assert found["knossos_download_bytes_total",] == 0
    assert not [name for name in found if "older" in name[0] or "too" in name]


def test_a_forked_process_counts_from_nothing_and_its_parent_goes_on() -> None:
    tally.take()
    tally.add("jobs", "a\tkind\nof it", "failed", amount=2)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, json.dumps(tally.take()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 1000) == b"{}"
    os.close(reading)
    os.close(writing)
    assert tally.take() == {"jobs\ta kind of it\tfailed": 2}


def test_an_id_from_outside_is_taken_only_where_it_is_plain() -> None:
    assert tracing.taken_or_made("Abc-1.2_3") == "Abc-1.2_3"
    for bad in (None, "", "two words", "line\nbreak", "-x", "é", "x" * 65):
        made = tracing.taken_or_made(bad)
        assert made != bad
        assert len(made) == 32


def test_each_line_of_the_log_says_for_which_request_and_which_job_it_was_written() -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    try:
        configure_logging(SETTINGS.model_copy(update={"log_format": "json"}), "worker", stream)
        log = logging.getLogger("knossos.test")
        log.info("nobody's")
        with tracing.at_request("r1"):
            log.info("a request's")
        tracing.at_job(17, "r2")
        thread = threading.Thread(target=log.info, args=("a job's",))
        thread.start()
        thread.join()
        log.info("one that says it itself", extra={"ticket": 18})
        tracing.at_no_job()
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.captureWarnings(False)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line.get("request"), line.get("ticket")) for line in lines] == [
        (None, None),
        ("r1", None),
        ("r2", "17"),
        ("r2", 18),
    ]


def test_a_part_that_says_nothing_does_not_hold_up_the_others_and_is_not_asked_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("knossos.operating.readiness.PATIENCE_SECONDS", 0.05)
    asked, end = [], threading.Event()

    def hangs() -> None:
        asked.append(1)
        end.wait(60)

    def lacks() -> None:
        raise NotReady("it lacks a table")

    def breaks() -> None:
        raise OSError("at 192.0.2.1 with a secret")

    asker = Asker({"good": lambda: None, "slow": hangs, "lacking": lacks, "broken": breaks})
    for _ in range(2):
        found = asker.ask()
        assert not found.ready
        assert found.parts["slow"] == "does not answer in time"
    end.set()
    assert asked == [1]
    assert found.parts["lacking"] == "it lacks a table"
    assert found.parts["broken"] == "does not answer"


def test_a_tree_is_counted_once_for_each_file_and_no_link_is_followed(tmp_path: Path) -> None:
    folder = tmp_path / "tree"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "a").write_bytes(b"a" * 100_000)
    (folder / "again").hardlink_to(folder / "below" / "a")
    (tmp_path / "elsewhere").write_bytes(b"b" * 1_000_000)
    (folder / "link").symlink_to(tmp_path)
    used, whole = tree_bytes(folder)
    assert whole
    assert 100_000 <= used < 200_000
