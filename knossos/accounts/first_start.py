"""What a data folder needs before the first process may use it: tables, a secret key, an administrator, a key.

Runs at every start and does only what is missing. A password or key that it had to invent is returned once, to
be shown to the operator; only its hash is kept of the password.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from knossos.accounts.accounts import AccountExists, Accounts, Role
from knossos.accounts.api_keys import generate_api_key
from knossos.accounts.secret_files import secret_key
from knossos.database import Database
from knossos.settings import Settings

ADMINISTRATOR = "admin"

#: Random bytes in a generated password (16 characters).
PASSWORD_BYTES = 12


@dataclass(frozen=True)
class FirstStart:
    """What was made just now. None where there was nothing to make."""

    #: True when the administrator was made.
    made_administrator: bool = False
    #: The password, only when it was generated rather than given.
    password: str | None = None
    api_key: str | None = None


def prepare(settings: Settings, database: Database) -> FirstStart:
    """Bring the data folder up to date. Callers hold the data folder's lock."""
    settings.data_path.mkdir(parents=True, exist_ok=True)
    database.migrate()
    secret_key(settings)
    accounts = Accounts(database)
    api_key = generate_api_key(settings)
    if accounts.count():
        return FirstStart(api_key=api_key)
    password = settings.admin_password or secrets.token_urlsafe(PASSWORD_BYTES)
    try:
        accounts.add(ADMINISTRATOR, password, [Role.OPERATOR])
    except AccountExists:  # another machine, started at the same moment, was faster, and has shown the password
        return FirstStart(api_key=api_key)
    return FirstStart(True, None if settings.admin_password else password, api_key)
