"""Places in which scripts run, as each user and with each sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knossos.settings import Settings
from tests.support.sandbox import USERS, Place, a_place


@pytest.fixture(params=USERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with a_place(request.param) as made:
        yield made


@pytest.fixture(params=["bubblewrap", "none"])
def any_place(request: pytest.FixtureRequest, place: Place) -> Place:
    """A place with the sandbox, and one without."""
    place.settings = Settings(data_path=place.settings.data_path, script_sandbox=request.param)
    return place
