"""The judgement: from what was promised and what was found to what is lost, doubled, wrong or left over.

Pure functions: they get what others have gathered, and say what is wrong with it. Nothing wrong: an empty list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from chaos.notebook import Accepted, Seen

if TYPE_CHECKING:
    from knossos.jobs import JobRecord


class Wrong(StrEnum):
    """What can be wrong."""

    #: Something that was promised never came.
    LOST = "lost"
    #: Something came more often than it may.
    DOUBLED = "doubled"
    #: A file, or an answer, is not what it should be.
    WRONG = "wrong"
    #: Something is still there that was for the time being.
    LEFTOVER = "leftover"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    wrong: Wrong
    about: str
    text: str

    def as_dict(self) -> dict[str, str]:
        return {"wrong": self.wrong, "about": self.about, "text": self.text}


@dataclass(frozen=True)
class Fate:
    """What became of one request.

    ``ends`` are its final states, of which there must be one. ``effects`` says how often it did what is seen outside,
    which must be from ``least`` to ``most``. What was ``promised``, by name, must be what was ``found``.
    """

    request: Accepted
    ends: Sequence[str]
    effects: int = 1
    least: int = 0
    most: int = 1
    promised: Mapping[str, Any] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)
    #: False where its answer never came: it may have been taken, or not.
    certain: bool = True

    @property
    def name(self) -> str:
        return f"{self.request.kind} {self.request.key}"


@dataclass(frozen=True)
class LogEntry:
    """One event of a task's log, as it is kept. ``lasting``: later ones of its type do not replace it."""

    id: str
    type: str
    lasting: bool = True


#: Messages that tell what only the newest event is kept of.
PASSING = frozenset({"progress", "files"})


def judge_fate(fate: Fate) -> list[Finding]:
    """Exactly one end, its effect as often as it may be, and every part of it as it was promised."""
    findings = []

    def find(wrong: Wrong, text: str) -> None:
        findings.append(Finding(wrong, fate.name, text))

    if fate.certain and not fate.ends:
        find(Wrong.LOST, "it was accepted, and has no outcome")
    if len(fate.ends) > 1:
        find(Wrong.DOUBLED, f"it has {len(fate.ends)} outcomes: {', '.join(fate.ends)}")
    if fate.effects > fate.most:
        find(Wrong.DOUBLED, f"what it does was done {fate.effects} times; at most {fate.most} are right")
    if fate.certain and fate.effects < fate.least:
        find(Wrong.LOST, f"what it does was done {fate.effects} times; at least {fate.least} are right")
    for name, wanted in fate.promised.items():
        got = fate.found.get(name)
        if got != wanted:
            find(Wrong.WRONG, f"{name}: expected {_short(wanted)}, found {_short(got)}")
    return findings


def judge_watch(name: str, messages: Sequence[Seen], log: Sequence[LogEntry]) -> list[Finding]:
    """A watcher has seen every lasting event of the log once, in its order, and nothing that never was."""
    findings = []
    seen = without_remarks(messages)

    def find(wrong: Wrong, text: str) -> None:
        findings.append(Finding(wrong, name, text))

    places = [position(one.id) for one in seen]
    for before, after, one in zip(places, places[1:], seen[1:], strict=False):
        if after <= before:
            find(Wrong.DOUBLED, f"the event {one.id} ({one.event}) came after a later one, or again")
    ids = {one.id for one in seen}
    missing = [entry for entry in log if entry.lasting and entry.id not in ids]
    for entry in missing[:5]:
        find(Wrong.LOST, f"the event {entry.id} ({entry.type}) never came")
    if len(missing) > 5:
        find(Wrong.LOST, f"{len(missing) - 5} more events never came")
    known = {entry.id for entry in log}
    for one in seen:
        if one.event not in PASSING and one.id not in known:
            find(Wrong.WRONG, f"the event {one.id} ({one.event}) stands in no log")
    ends = sum(one.event == "done" for one in seen)
    if ends > 1:
        find(Wrong.DOUBLED, f"the end was told {ends} times")
    return findings


def without_remarks(messages: Sequence[Seen]) -> list[Seen]:
    """Without what the server says to one watcher alone, such as where its task waits: a line with the id of what that
    watcher has seen last, and other words than that."""
    found: list[Seen] = []
    for message in messages:
        last = found[-1] if found else Seen("0-0", "", None)
        same_words = (message.event, message.arguments) == (last.event, last.arguments)
        if message.event == "log_message" and message.id == last.id and not same_words:
            continue
        found.append(message)
    return found


def judge_unfinished(records: Iterable[JobRecord]) -> list[Finding]:
    """Also what nobody has asked for, such as an update of the repository, has to end."""
    return [
        Finding(Wrong.LOST, f"task {record.ticket}", f"{record.kind}: it is {record.state} at the end of the run")
        for record in records
    ]


def judge_leftovers(leftovers: Iterable[str]) -> list[Finding]:
    """Nothing may be left."""
    return [Finding(Wrong.LEFTOVER, "leftover", text) for text in leftovers]


def position(event_id: str) -> tuple[int, int]:
    """What orders the ids of events."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
