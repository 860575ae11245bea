"""What somebody asks to have scheduled, read from JSON with the field named of whatever is wrong. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from knossos.errors import InvalidInput
from knossos.scripting.notices.states import NoticeWhen, Wanted
from knossos.scripting.plan import RunKind
from knossos.scripting.schedules.when import BadTime, When, next_after, read_cron, read_time, shortest_pause, zone_of
from knossos.settings import Settings

#: What can be scheduled.
KINDS = (RunKind.SCRIPT, RunKind.HOME, RunKind.CALCULATION)
#: Fields that say what is run. Whoever changes one says it anew.
WHAT_FIELDS = ("kind", "script", "arguments", "form", "path", "text", "job", "calculation", "input")
FIELDS = frozenset({"name", *WHAT_FIELDS, "at", "cron", "zone", "enabled", "notices"})
NOTICE_FIELDS = frozenset({"when", "mail", "webhook"})
MAX_NAME_CHARS = 100
MAX_TARGET_CHARS = 1000

_SHA1 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class What:
    """What is run. ``content`` is a text or an input that is kept with the schedule; None: there is none, or the kept
    one stays."""

    kind: RunKind
    #: The script's name, the path in the home, the SHA-1 of the input; "" where ``content`` says it.
    target: str
    arguments: tuple[str, ...] = ()
    form: Mapping[str, Any] | None = None
    content: bytes | None = None
    #: A run of one's own whose script is taken; "" for none.
    job: str = ""


@dataclass(frozen=True)
class Wish:
    what: What
    when: When
    #: "": what is run says it.
    name: str = ""
    enabled: bool = True
    notices: Wanted = field(default_factory=Wanted)


class Problems:
    """What is wrong with an object, by paths."""

    def __init__(self) -> None:
        self.errors: list[dict[str, str]] = []

    def add(self, path: str, message: str) -> None:
        self.errors.append({"path": path, "message": message})

    def take(self, error: InvalidInput) -> None:
        self.errors += error.errors

    def check(self) -> None:
        """Raise InvalidInput where there are any."""
        if self.errors:
            said = "; ".join(
                f"{one['path']}: {one['message']}" if one["path"] else one["message"] for one in self.errors
            )
            raise InvalidInput(said, errors=self.errors)

    def text(self, data: Mapping[str, Any], name: str, most: int, *, prefix: str = "") -> str:
        """A text that may be left out."""
        value = data.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or not _is_text(value):
            self.add(prefix + name, "expected a text")
            return ""
        if len(value) > most:
            self.add(prefix + name, f"expected at most {most} characters")
            return ""
        return value

    def flag(self, data: Mapping[str, Any], name: str, default: bool, *, prefix: str = "") -> bool:
        value = data.get(name, default)
        if not isinstance(value, bool):
            self.add(prefix + name, "expected true or false")
            return default
        return value


def read_wish(data: Mapping[str, Any], settings: Settings, now: float, what: What | None = None) -> Wish:
    """A schedule as it is asked for.

    Args:
        what: what is run, where ``data`` does not say it.

    Raises:
        InvalidInput: its ``errors`` name all fields that are wrong.
    """
    problems = Problems()
    for name in sorted(set(data) - FIELDS, key=str):
        problems.add(str(name)[:60], f"there is no such field; expected some of {', '.join(sorted(FIELDS))}")
    name = " ".join(problems.text(data, "name", MAX_NAME_CHARS).split())
    if any(not character.isprintable() for character in name):
        problems.add("name", "expected no control characters")
    enabled = problems.flag(data, "enabled", True)
    wanted = read_wanted(data.get("notices"), problems)
    what = what or _what(data, settings, problems)
    when = _when(data, settings, now, problems, enabled)
    problems.check()
    assert what is not None
    assert when is not None
    return Wish(what, when, name, enabled, wanted)


def read_wanted(data: Any, problems: Problems, prefix: str = "notices.") -> Wanted:
    """What somebody wants to be told."""
    if data is None:
        return Wanted()
    if not isinstance(data, Mapping):
        problems.add(prefix.rstrip("."), "expected an object")
        return Wanted()
    for name in sorted(set(data) - NOTICE_FIELDS, key=str):
        problems.add(f"{prefix}{str(name)[:60]}", "there is no such field; expected when, mail or webhook")
    when = data.get("when", NoticeWhen.NEVER)
    if when not in list(NoticeWhen):
        problems.add(f"{prefix}when", 'expected "never", "failure" or "end"')
        when = NoticeWhen.NEVER
    mail = problems.flag(data, "mail", False, prefix=prefix)
    return Wanted(NoticeWhen(when), mail, problems.text(data, "webhook", 2000, prefix=prefix).strip())


def _what(data: Mapping[str, Any], settings: Settings, problems: Problems) -> What | None:
    kind = data.get("kind")
    if kind not in list(KINDS):
        problems.add("kind", f"expected one of {', '.join(KINDS)}")
        return None
    kind = RunKind(kind)
    for one, names in _OF_KIND.items():
        for name in names if one is not kind else ():
            if data.get(name) not in (None, "", []):
                problems.add(name, f"this belongs to the kind {one}, not to {kind}")
    if kind is RunKind.SCRIPT:
        target = problems.text(data, "script", MAX_TARGET_CHARS)
        if not target:
            problems.add("script", "expected the name of a script")
        form = data.get("form")
        if form is not None and not isinstance(form, Mapping):
            problems.add("form", "expected an object with the values of the script's form")
            form = None
        return What(kind, target, _arguments(data.get("arguments"), settings, problems), form)
    if kind is RunKind.HOME:
        return _home_script(data, settings, problems)
    sha1, text = problems.text(data, "calculation", 40).lower(), problems.text(data, "input", 2**31)
    if bool(sha1) == bool(text):
        problems.add("calculation", "expected the SHA-1 of an input that is known here, or the input itself as input")
    elif sha1 and not _SHA1.fullmatch(sha1):
        problems.add("calculation", "expected a SHA-1: 40 hexadecimal digits")
    content = text.encode("utf-8") if text else None
    if content is not None and len(content) > settings.calculation_input_bytes:
        problems.add("input", f"expected at most {settings.calculation_input_bytes} bytes")
    return What(kind, sha1, content=content)


_OF_KIND = {
    RunKind.SCRIPT: ("script", "arguments", "form"),
    RunKind.HOME: ("path", "text", "job"),
    RunKind.CALCULATION: ("calculation", "input"),
}


def _home_script(data: Mapping[str, Any], settings: Settings, problems: Problems) -> What:
    path = problems.text(data, "path", MAX_TARGET_CHARS).strip("/")
    text = problems.text(data, "text", 2**31)
    job = problems.text(data, "job", 36)
    if sum(map(bool, (path, text, job))) != 1:
        problems.add("path", "expected the path of a script in your home; or the script as text; or a run of it as job")
    content = text.encode("utf-8") if text else None
    if content is not None and len(content) > settings.max_script_bytes:
        problems.add("text", f"expected at most {settings.max_script_bytes} bytes")
    if text and not text.strip():
        problems.add("text", "the script is empty")
    return What(RunKind.HOME, path, content=content, job=job)


def _arguments(value: Any, settings: Settings, problems: Problems) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        problems.add("arguments", "expected a list of texts")
        return ()
    if len(value) > settings.script_arguments:
        problems.add("arguments", f"expected at most {settings.script_arguments} arguments")
    for number, one in enumerate(value):
        if not _is_text(one):
            problems.add(f"arguments.{number}", "expected a text without NUL")
    if sum(len(one.encode("utf-8", "replace")) for one in value) > settings.script_argument_bytes:
        problems.add("arguments", f"expected at most {settings.script_argument_bytes} bytes together")
    return tuple(value)


def _when(
    data: Mapping[str, Any], settings: Settings, now: float, problems: Problems, enabled: bool
) -> When | None:  # fmt: skip
    zone = problems.text(data, "zone", 64) or "UTC"
    at, cron = problems.text(data, "at", 64), problems.text(data, "cron", 200)
    if bool(at) == bool(cron):
        problems.add("at", "expected either a time, as at, or a cron expression, as cron")
        return None
    try:
        zone_of(zone)
        when = When(at=read_time(at, zone), zone=zone) if at else When(cron=read_cron(cron), zone=zone)
        if enabled:
            check_when(when, settings, now)
    except BadTime as error:
        problems.take(error)
        return None
    return when


def check_when(when: When, settings: Settings, now: float) -> None:
    """See that it will come, and not too often.

    Raises:
        BadTime
    """
    least = settings.schedule_shortest_seconds
    if when.at is not None:
        if when.at <= now:
            raise BadTime.at("at", "this time is over")
        return
    message = ""
    if next_after(when, now) is None:
        message = "there is no such day: it never comes"
    elif (pause := shortest_pause(when, now)) is not None and pause < least:
        message = f"it comes every {pause:g} seconds; expected at least {least:g} between two times"
    if message:
        raise BadTime.at("cron", message)


def _is_text(value: str) -> bool:
    """Whether a database and a command line can hold it."""
    if "\0" in value:
        return False
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
