"""Fixtures of the tests of the live side."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from knossos.jobs import Engine
from tests.support.scenes import PlayedJob


@pytest.fixture
def job(engine: Engine) -> PlayedJob:
    return PlayedJob(engine).start()


@pytest.fixture(autouse=True)
def nothing_went_wrong(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may leave an exception in the server's log."""
    yield
    bad = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not bad, caplog.text
