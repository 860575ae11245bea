"""Accounts for tests, whose passwords cost next to nothing to hash and to check."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from argon2 import PasswordHasher

from knossos.accounts import Account, Accounts, Sessions
from knossos.accounts.passwords import Passwords
from knossos.database import Database
from knossos.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

PASSWORD = "correct horse"

#: Argon2id with its smallest parameters.
CHEAP = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def add_account(database: Database, name: str, *roles: str, email: str | None = None) -> Account:
    """Make an account with `PASSWORD`."""
    return Accounts(database, CHEAP).add(name, PASSWORD, roles, email)


def with_cheap_passwords(app: Flask) -> Flask:
    """An application that checks passwords, and makes their hashes, at next to no cost."""
    from knossos.web.services import EXTENSION  # tests of the domain need no Flask

    made = app.extensions[EXTENSION]
    app.extensions[EXTENSION] = replace(made, accounts=Accounts(made.database, CHEAP))
    return app


def session_of(settings: Settings, name: str, *roles: str) -> str:
    """The value of the cookie of an account, which is made where there is none; so are the tables."""
    database = Database(settings)
    try:
        database.migrate()
        account = Accounts(database, CHEAP).find(name) or add_account(database, name, *roles)
        return Sessions(settings, database).issue(account)
    finally:
        database.close()
