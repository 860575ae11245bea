"""Numbers, sizes and times as the pages write them: pure functions, in the words of ``static/js/format.js``.

Times are UTC, and say so: a page that is rendered here does not know where its reader is.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

_UNITS = ("B", "kB", "MB", "GB", "TB")


def day(text: str | None) -> str:
    """YYYY-MM-DD as people write it."""
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return text or ""
    return f"{found.day} {found:%b %Y}"


def number(value: int) -> str:
    return f"{value:,}"


def counted(value: int, singular: str, plural: str = "") -> str:
    return f"{value:,} {singular if value == 1 else plural or singular + 's'}"


def size(value: int) -> str:
    """Bytes in three digits, as the scripts of the pages write them."""
    amount, unit = float(value), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 0 if unit == 0 or amount >= 99.95 else 1 if amount >= 9.995 else 2
    return f"{amount:.{digits}f} {_UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them; "" for None."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "under 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def moment(unix_time: float) -> str:
    """A Unix time to the minute."""
    return f"{date_of(unix_time)}, {_utc(unix_time):%H:%M} UTC"


def date_of(unix_time: float) -> str:
    """The day of a Unix time, as people write it."""
    found = _utc(unix_time)
    return f"{found.day} {found:%b %Y}"


def iso(unix_time: float) -> str:
    """A Unix time for the attribute ``datetime``."""
    return _utc(unix_time).strftime("%Y-%m-%dT%H:%M:%SZ")


def _utc(unix_time: float) -> datetime:
    """The nearest time that calendars have: scripts can give their files others."""
    try:
        return datetime.fromtimestamp(unix_time, UTC)
    except (ValueError, OverflowError, OSError):
        return (datetime.min if unix_time < 0 else datetime.max).replace(tzinfo=UTC)
