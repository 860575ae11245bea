"""Accounts, sessions, API keys, and the rules of who may do what. Knows neither HTTP nor WebSockets."""

from knossos.accounts.accounts import Account, AccountExists, Accounts, NoSuchAccount, Role
from knossos.accounts.api_keys import api_keys, find_api_key
from knossos.accounts.sessions import COOKIE_NAME, Session, Sessions

__all__ = [
    "COOKIE_NAME",
    "Account",
    "AccountExists",
    "Accounts",
    "NoSuchAccount",
    "Role",
    "Session",
    "Sessions",
    "api_keys",
    "find_api_key",
]
