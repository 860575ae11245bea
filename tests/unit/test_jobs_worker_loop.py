"""The loop around a worker's loop: what ends it, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from knossos.errors import EXIT_OK
from knossos.jobs import worker
from knossos.settings import Settings


def away() -> None:
    raise redis.ConnectionError("away")


def nothing() -> None:
    pass


@pytest.mark.parametrize(
    "loops",
    [
        pytest.param([(nothing, away), (away, nothing), (away, nothing), (nothing, nothing)], id="away while it works"),
        pytest.param([(away, nothing), (nothing, nothing)], id="away before the first loop"),
        pytest.param([(nothing, lambda: 1 // 0), (nothing, nothing)], id="what nobody foresaw"),
    ],
)
def test_no_trouble_ends_a_worker_but_being_told_to_stop(
    loops: list[tuple[Callable[[], None], Callable[[], None]]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each loop is set up, and works; in the last one it is told to stop."""
    left = iter(loops)

    class Played:
        name = "played by the test"

        def __init__(self, *_: object) -> None:
            set_up, self._work = next(left)
            set_up()
            self.stopping = False

        def work(self, logging_level: None) -> None:
            self._work()
            self.stopping = True

    monkeypatch.setattr(worker, "EngineWorker", Played)
    monkeypatch.setattr(worker, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(worker.connection, "ping", lambda url: None)
    monkeypatch.setattr(worker.gc, "freeze", lambda: None)
    assert worker.run(Settings(data_path=tmp_path)) == EXIT_OK
    assert list(left) == []
