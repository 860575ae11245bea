"""When a schedule comes, in words. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from knossos.scripting.schedules.when import BadTime, When, zone_of

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_DAY_NAMES = {name[:3].lower(): number for number, name in enumerate(_DAYS)} | {
    str(number): number % 7 for number in range(8)
}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_STEP = re.compile(r"\*/([1-9][0-9]?)")
_NUMBER = re.compile(r"[0-9]{1,2}")


def in_words(when: When) -> str:
    """Such as "Every day at 03:00"; an expression that has no short words, as it is."""
    if when.at is not None:
        return f"Once, {local_time(when.at, when.zone)}"
    minute, hour, day, month, weekday = when.cron.split()
    known = _of_day(minute, hour)
    days = _days(day, month, weekday)
    if known is None or days is None:
        return f"By cron: {when.cron}"
    if hour in ("*",) or _STEP.fullmatch(hour):
        return known if days == "Every day" else f"{days}: {known[0].lower()}{known[1:]}"
    return f"{days} at {known}"


def shown_zone(name: str) -> tzinfo:
    """The zone of that name; UTC where an update has left none."""
    try:
        return zone_of(name)
    except BadTime:
        return UTC


def local_time(moment: float, zone: str) -> str:
    """A moment in a zone, to the minute, with the zone's name for it. In UTC where the zone is not known any more."""
    found = datetime.fromtimestamp(moment, shown_zone(zone))
    return f"{found:%a} {found.day} {found:%b %Y, %H:%M} {found:%Z}".rstrip()


def _of_day(minute: str, hour: str) -> str | None:
    if hour == "*":
        if minute == "*":
            return "Every minute"
        if step := _STEP.fullmatch(minute):
            return f"Every {step[1]} minutes" if 60 % int(step[1]) == 0 and step[1] != "1" else None
        return f"Every hour at minute {int(minute)}" if _NUMBER.fullmatch(minute) else None
    if not _NUMBER.fullmatch(minute):
        return None
    if step := _STEP.fullmatch(hour):
        even = 24 % int(step[1]) == 0 and step[1] != "1"
        return f"Every {step[1]} hours at minute {int(minute)}" if even else None
    hours = hour.split(",")
    if not all(_NUMBER.fullmatch(one) for one in hours):
        return None
    return _listed([f"{int(one):02}:{int(minute):02}" for one in hours])


def _days(day: str, month: str, weekday: str) -> str | None:
    if month == "*" and day == "*":
        return _weekdays(weekday)
    if weekday != "*" or not _NUMBER.fullmatch(day):
        return None
    if month == "*":
        return f"On day {int(day)} of every month"
    return f"Every year on {int(day)} {_MONTHS[int(month) - 1]}" if _NUMBER.fullmatch(month) else None


def _weekdays(text: str) -> str | None:
    if text == "*":
        return "Every day"
    numbers: list[int] = []
    for part in text.lower().split(","):
        first, dash, last = part.partition("-")
        if first not in _DAY_NAMES or (dash and last not in _DAY_NAMES):
            return None
        start, end = _DAY_NAMES[first], _DAY_NAMES[last or first]
        numbers += range(start, end + 1 if end >= start else end + 8)
    chosen = {number % 7 for number in numbers}
    if chosen == {1, 2, 3, 4, 5}:
        return "Monday to Friday"
    if len(chosen) == 7:
        return "Every day"
    return f"Every {_listed([_DAYS[number] for number in (1, 2, 3, 4, 5, 6, 0) if number in chosen])}"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
