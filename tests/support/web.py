"""An app that tests ask without a server: its services, and who is logged in."""

from __future__ import annotations

from flask.testing import FlaskClient

from knossos.accounts import COOKIE_NAME, Account
from knossos.web.services import EXTENSION, Services


def services_of(client: FlaskClient) -> Services:
    found: Services = client.application.extensions[EXTENSION]
    return found


def log_in(client: FlaskClient, account: Account) -> FlaskClient:
    """The same client, with a session of the account."""
    client.set_cookie(COOKIE_NAME, services_of(client).sessions.issue(account))
    return client
