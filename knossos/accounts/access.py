"""Who may see and steer a task: rules as pure functions, for the HTTP and the WebSocket server alike.

A task belongs to the API key or the account that submitted it. Its token opens it to whoever was given it.
Whoever may not see a task is not told that it exists: callers answer as if it were missing.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Protocol

from knossos.accounts.sessions import Session
from knossos.settings import Settings

#: Hexadecimal digits of an API key's SHA-256 in an owner's name: enough to tell keys apart, no help to guess one.
KEY_DIGITS = 16


#: What OPEN_WATCH and OPEN_TASK_LIST open: the tasks that clients without a token know of. Others speak of private
#: mods, of mails and of webhooks.
OPEN_KIND = "conversion"


class OwnedTask(Protocol):
    """What the rules need of a job record."""

    @property
    def kind(self) -> str: ...

    @property
    def owner(self) -> str: ...

    @property
    def token(self) -> str: ...

    @property
    def withheld(self) -> bool: ...


def owner_of_key(key: str) -> str:
    """The owner's name for tasks that were submitted with that API key; it does not give the key away."""
    return "key:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:KEY_DIGITS]


def owner_of_account(name: str) -> str:
    """The owner's name for tasks of that account."""
    return "account:" + name.lower()


def may_control(record: OwnedTask, *, token: str | None, session: Session | None) -> bool:
    """Whether the caller may stop the task: its token, its owner's session, or an operator's."""
    if record.withheld:
        return session is not None and session.is_operator
    if token and hmac.compare_digest(record.token.encode(), token.encode("utf-8", "surrogatepass")):
        return bool(record.token)
    if session is None:
        return False
    return session.is_operator or record.owner == owner_of_account(session.name)


def may_watch(record: OwnedTask, *, token: str | None, session: Session | None, settings: Settings) -> bool:
    """Whether the caller may see the task's status, watch it and answer its questions."""
    is_open = settings.open_watch and record.kind == OPEN_KIND and not record.withheld
    return is_open or may_control(record, token=token, session=session)


def may_list_tasks(*, session: Session | None, settings: Settings) -> bool:
    """Whether the caller may see the list of everyone's tasks; unless it is an operator, only those of OPEN_KIND."""
    return settings.open_task_list or (session is not None and session.is_operator)
