"""What the tests of pages ask again and again."""

from __future__ import annotations

from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME
from knossos.settings import Settings
from tests.support.people import session_of


def log_in(client: FlaskClient, settings: Settings, name: str, *roles: str) -> None:
    client.set_cookie(COOKIE_NAME, session_of(settings, name, *roles))
