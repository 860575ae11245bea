"""How the processes log."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from knossos.logs import configure_logging
from knossos.settings import Settings


@pytest.fixture(autouse=True)
def the_tests_own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def written(log_format: Literal["text", "json"]) -> list[str]:
    stream = io.StringIO()
    settings = Settings(data_path=Path("unused"), log_format=log_format)
    configure_logging(settings, "worker", stream)
    log = logging.getLogger("knossos.test")
    log.debug("not shown")
    log.info("task %s begins", "a\nFORGED line", extra={"ticket": 17})
    try:
        raise ValueError("broken\rthing")
    except ValueError:
        log.exception("failed")
    return stream.getvalue().splitlines()


def test_each_event_is_one_line_of_text() -> None:
    lines = written("text")
    assert len(lines) == 2
    assert lines[0].endswith("INFO worker: task a | FORGED line begins ticket=17")
    assert "ValueError: broken" in lines[1]


def test_each_event_is_one_json_object() -> None:
    entries = [json.loads(line) for line in written("json")]
    assert entries[0]["message"] == "task a\nFORGED line begins"
    assert entries[0]["ticket"] == 17
    assert entries[0]["process"] == "worker"
    assert "ValueError: broken" in entries[1]["stack"]


def test_libraries_do_not_speak_of_their_own_parts() -> None:
    stream = io.StringIO()
    configure_logging(Settings(), "worker", stream)
    for name in ("urllib3", "alembic.runtime.plugins"):
        logging.getLogger(name).info("setup plugin")
        logging.getLogger(name).warning("odd")
    assert [line.rpartition(" ")[2] for line in stream.getvalue().splitlines()] == ["odd", "odd"]
