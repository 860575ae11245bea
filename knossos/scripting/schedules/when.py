"""When a schedule is due: a time once, or a cron expression in a time zone. Pure: now is always told.

The expression is read by the croniter that RQ's own cron brings, and its local times become moments as RQ's `CronJob`
has them, but in the schedule's zone rather than the machine's (docs/decisions/0017). What always holds: a local time
that a change of clocks leaves out comes once, as much later as the clocks were moved; one that there is twice comes
once, the first time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

from croniter import croniter

from knossos.errors import InvalidInput

#: Times that are looked at for the shortest pause of an expression: a day of minutes.
LOOKED_AT = 24 * 60
#: Years within which an expression has to come again: the 29th of February may be eight years away.
MAX_YEARS = 9
MAX_CRON_CHARS = 100
#: The year 9000: what comes at the end of the year 9999 is in a year of five digits elsewhere, which no clock shows.
LAST_MOMENT = datetime(9000, 1, 1, tzinfo=UTC).timestamp()
#: The names that cron knows for expressions.
ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: What fields are made of. "H" and "R" would be times by chance.
_PART = re.compile(
    r"\*|\?|[0-9]{1,4}|L[0-7]?|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[,/#-]")


class BadTime(InvalidInput):
    """A time, a zone or a cron expression that cannot be meant; its ``errors`` name the field."""

    code = "bad_time"


@dataclass(frozen=True)
class When:
    """``at`` is Unix time in seconds, for a schedule that comes once; else ``cron`` says when it comes."""

    at: float | None = None
    cron: str = ""
    #: An IANA name, such as Europe/Berlin.
    zone: str = "UTC"


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """The zone of that name.

    Raises:
        BadTime
    """
    if name == "UTC":
        return UTC
    if name not in zone_names():
        raise BadTime.at(
            "zone", f"expected the name of a time zone, such as Europe/Berlin or UTC (it is {name[:60]!r})"
        )
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """All names of zones that this machine knows."""
    return frozenset(available_timezones() | {"UTC"}) - {"localtime"}


def read_cron(text: str) -> str:
    """A cron expression as it is kept: five fields with one space between them.

    Raises:
        BadTime
    """
    fields = ALIASES.get(text.strip().lower(), text).split()
    if len(text) > MAX_CRON_CHARS or len(fields) != 5:
        raise BadTime.at(
            "cron", "expected five fields: minute, hour, day of the month, month, day of the week; or @daily"
        )
    for field in fields:
        if not all(_PART.fullmatch(part) for part in _BETWEEN.split(field)):
            raise BadTime.at(
                "cron", f"expected numbers, names of months or days, * , - / in each field (one is {field!r})"
            )
    expression = " ".join(fields)
    try:
        croniter(expression, datetime(2024, 1, 1))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        said = str(error).replace(f"[{expression}] is not acceptable", "").strip(" ,.") or "it is out of range"
        raise BadTime.at("cron", f"this is no cron expression: {said}") from error
    return expression


def read_time(text: str, zone: str) -> float:
    """An ISO 8601 time; one without an offset is local in the zone.

    Raises:
        BadTime
    """
    try:
        found = datetime.fromisoformat(text.strip())
        moment = found.timestamp() if found.tzinfo is not None else _moment(found, zone_of(zone))
        if not 0 <= moment < LAST_MOMENT:
            raise ValueError("nobody can show it in all zones")
        return moment
    except BadTime:
        raise
    except (ValueError, OverflowError, OSError) as error:
        raise BadTime.at(
            "at", "expected a time such as 2026-05-01T06:30, or with an offset 2026-05-01T06:30+02:00"
        ) from error


def next_after(when: When, after: float) -> float | None:
    """The first time after ``after`` at which it is due; None where there is none."""
    if when.at is not None:
        return when.at if when.at > after else None
    return next(times_after(when, after), None)


def times_after(when: When, after: float) -> Iterator[float]:
    """The times of a cron expression after ``after``, without end unless it never comes."""
    zone = zone_of(when.zone)
    local = datetime.fromtimestamp(int(after), zone).replace(tzinfo=None)
    iterator, last = croniter(when.cron, local, max_years_between_matches=MAX_YEARS), after
    while True:
        try:
            moment = _moment(iterator.get_next(datetime), zone)
        except (ValueError, OverflowError):
            return
        # A local time that there is twice has been the first time; two that a change of clocks made one are one.
        if moment > last:
            last = moment
            yield moment


def latest_due(when: When, since: float, now: float) -> float:
    """The last time from ``since``, at which it was due, until now: of those that were missed, it stands for all."""
    if when.at is not None:
        return since
    zone = zone_of(when.zone)
    local = datetime.fromtimestamp(int(now) + 1, zone).replace(tzinfo=None)
    iterator = croniter(when.cron, local, max_years_between_matches=MAX_YEARS)
    try:
        while (moment := _moment(iterator.get_prev(datetime), zone)) > now:
            pass
    except (ValueError, OverflowError):
        return since
    return max(moment, since)


def shortest_pause(when: When, now: float) -> float | None:
    """Seconds between the two times of a cron expression that are next to each other; None where it comes but once."""
    found = list(islice(times_after(when, now), LOOKED_AT))
    return min((later - earlier for earlier, later in pairwise(found)), default=None)


def next_times(when: When, after: float, count: int) -> list[float]:
    """The next times at which it is due, at most so many."""
    if when.at is not None:
        return [when.at] if when.at > after else []
    return list(islice(times_after(when, after), count))


def _moment(local: datetime, zone: tzinfo) -> float:
    # With fold 0 the offset is the one before the change: a time that is left out lies behind it.
    return local.replace(tzinfo=zone, fold=0).timestamp()
