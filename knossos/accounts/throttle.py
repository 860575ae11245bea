"""Limits on tries: how often something may be tried for one account, or from one address, in a window of time.

A try is counted before it is made, in one statement, so that a hundred at once are a hundred. One that is refused is
not counted, so the window ends when it was said to end, however often somebody knocks meanwhile.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, case, delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.dml import ReturningInsert

from knossos.accounts.tables import LoginFailures
from knossos.errors import KnossosError

#: Most characters of a key.
MAX_KEY_CHARS = 100
#: Who has an IPv6 address usually has this whole network of them.
IPV6_PREFIX = 64


class TooManyTries(KnossosError):
    """No more tries for now. ``retry_after_seconds`` is a whole number of seconds; ``kind`` says what ran out."""

    code = "too_many_tries"


@dataclass(frozen=True)
class Limit:
    """At most ``most`` tries for ``key`` in a window."""

    kind: str
    key: str
    most: int


def of_account(name: str, most: int, kind: str = "account") -> Limit:
    """Of a name, whether or not there is such an account: the answer must not tell."""
    return Limit(kind, name.lower()[:MAX_KEY_CHARS], most)


def of_address(address: str, most: int, kind: str = "address") -> Limit:
    """Of a client's network address; all addresses of one IPv6 network count as one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Limit(kind, address[:MAX_KEY_CHARS], most)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return Limit(kind, str(parsed.ipv4_mapped), most)
        return Limit(kind, str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False)), most)
    return Limit(kind, str(parsed), most)


def count(session: Session, limits: Sequence[Limit], window_seconds: float) -> list[Limit]:
    """Count a try against each limit; the answer is those that it used up.

    Raises:
        TooManyTries: one was used up before; the transaction must be rolled back, so that this try is not counted.
    """
    now, used_up = time.time(), []
    for limit in limits:
        tries, first_at = session.execute(_one_more(session, limit, now, now - window_seconds)).one()
        if tries > limit.most:
            wait = max(1, math.ceil(first_at + window_seconds - now))
            raise TooManyTries(
                f"There were too many tries. Try again in {in_words(wait)}.",
                kind=limit.kind,
                retry_after_seconds=wait,
            )
        if tries == limit.most:
            used_up.append(limit)
    return used_up


def forgive(session: Session, limit: Limit, tries: int | None = None) -> None:
    """Take back so many tries, or all."""
    here = and_(LoginFailures.kind == limit.kind, LoginFailures.key == limit.key)
    if tries is not None:
        session.execute(update(LoginFailures).where(here).values(count=LoginFailures.count - tries))
        here = and_(here, LoginFailures.count <= 0)
    session.execute(delete(LoginFailures).where(here))


def expire(session: Session, window_seconds: float) -> int:
    """Remove the counts of windows that are over."""
    over = delete(LoginFailures).where(LoginFailures.first_at < time.time() - window_seconds)
    return len(session.scalars(over.returning(LoginFailures.key)).all())


def in_words(seconds: int) -> str:
    """Such as "40 seconds" or "5 minutes"."""
    number, unit = (seconds, "second") if seconds < 120 else (math.ceil(seconds / 60), "minute")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _one_more(session: Session, limit: Limit, now: float, start: float) -> ReturningInsert[int, float]:
    values = {"kind": limit.kind, "key": limit.key, "count": 1, "first_at": now}
    is_over = LoginFailures.first_at <= start
    update_to = {
        "count": case((is_over, 1), else_=LoginFailures.count + 1),
        "first_at": case((is_over, now), else_=LoginFailures.first_at),
    }
    # The same statement in both dialects; SQLAlchemy has no word for it that they share.
    insert: postgresql.Insert | sqlite.Insert
    if session.get_bind().dialect.name == "postgresql":
        insert = postgresql.insert(LoginFailures)
    else:
        insert = sqlite.insert(LoginFailures)
    counted = insert.values(values).on_conflict_do_update(index_elements=["kind", "key"], set_=update_to)
    return counted.returning(LoginFailures.count, LoginFailures.first_at)
