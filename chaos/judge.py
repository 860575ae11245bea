"""The judgement: from what was promised and what was found to what is lost, doubled, wrong or left over.

Pure functions: they get what others have gathered, and say what is wrong with it. Nothing wrong: an empty list.
"""

from __future__ import annotations

from collections import Counter
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
    which must be from ``least`` to ``most``. What was ``promised``, by name, must be what was ``found``. ``tasks`` are
    the tickets of all tasks that it became, of which there may not be two; ``lacks`` says what it should have had.
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
    tasks: Sequence[int] = ()
    lacks: Sequence[str] = ()

    @property
    def name(self) -> str:
        return f"{self.request.kind} {self.request.key}"


@dataclass(frozen=True)
class LogEntry:
    """One event of a task's log, as it is kept (`knossos.jobs.events` has the types and what each says)."""

    id: str
    type: str
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lasting(self) -> bool:
        """Whether later ones of its type do not replace it."""
        return self.type not in PASSING

    @property
    def message(self) -> tuple[str, list[Any]]:
        """What a watcher is to get of it. It is said here once more: the server's own words cannot prove themselves."""
        data = self.data
        match self.type:
            case "log":
                return "log_message", [f"{data['level']}: {data['text']}"]
            case "output":
                return "output", [data["stream"], data["text"]]
            case "progress":
                return "progress", [data["fraction"], data["text"]]
            case "files":
                return "files", [data["files"]]
            case "done":
                return "done", [data["success"], {"state": data["state"], "failure": data["failure"]}]
        return self.type, [data]


#: Kinds of requests, of each of which some must have been accepted.
KINDS = ("conversion", "upload", "release", "script")
#: Messages that tell what only the newest event is kept of.
PASSING = frozenset({"progress", "files"})
#: What stands in the line that tells one watcher alone where its task waits.
REMARK = "INFO: The task is queued"
#: The code of a failure that nobody foresaw, and those of a webhook whose every try was killed.
UNFORESEEN, KILLED = "internal", frozenset({"worker_died", "worker_lost"})
#: Seconds within which a job does not say the same words again: what is tried again pauses before that.
SAME_SECONDS = 0.5


def judge_fate(fate: Fate) -> list[Finding]:
    """Exactly one end, its effect as often as it may be, and every part of it as it was promised."""
    findings = []

    def find(wrong: Wrong, text: str) -> None:
        findings.append(Finding(wrong, fate.name, text))

    if fate.certain and not fate.ends:
        find(Wrong.LOST, "it was accepted, and has no outcome")
    if len(fate.ends) > 1:
        find(Wrong.DOUBLED, f"it has {len(fate.ends)} outcomes: {', '.join(fate.ends)}")
    if len(fate.tasks) > 1:
        find(Wrong.DOUBLED, f"it became {len(fate.tasks)} tasks: {', '.join(map(str, fate.tasks))}")
    for lack in fate.lacks:
        find(Wrong.LOST, lack)
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
    """A watcher has seen every lasting event of the log once, in its order and its words, nothing that never was, and
    the end."""
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
    known = {entry.id: entry for entry in log}
    for one in seen:
        if one.id not in known:
            if one.event not in PASSING:
                find(Wrong.WRONG, f"the event {one.id} ({one.event}) stands in no log")
        elif (wanted := known[one.id].message) != (got := (one.event, one.arguments)):
            find(Wrong.WRONG, f"the event {one.id}: expected {_short(wanted)}, found {_short(got)}")
    ends = sum(one.event == "done" for one in seen)
    if not ends and not any(entry.type == "done" for entry in missing):
        find(Wrong.LOST, "it still waits for the end, which was never told")
    if ends > 1:
        find(Wrong.DOUBLED, f"the end was told {ends} times")
    return findings


def without_remarks(messages: Sequence[Seen]) -> list[Seen]:
    """Without what the server says to one watcher alone, where its task waits: a line with the id of what that watcher
    has seen last."""
    found: list[Seen] = []
    for message in messages:
        last = found[-1].id if found else "0-0"
        if message.event == "log_message" and message.id == last and REMARK in str(message.arguments):
            continue
        found.append(message)
    return found


def judge_task(record: JobRecord, log: Sequence[LogEntry]) -> list[Finding]:
    """Every task, whoever asked for it, has each step of its life in its log once, and says each line once.

    The log must have been read after the record.
    """
    findings = []

    def find(wrong: Wrong, text: str) -> None:
        findings.append(Finding(wrong, f"task {record.ticket}", f"{record.kind}: {text}"))

    steps = Counter(step for entry in log if (step := _step(entry)))
    for step, times in steps.items():
        if times > 1:
            find(Wrong.DOUBLED, f"its log says {times} times: {step}")
    due = ["queued, attempt 0", *(f"running, attempt {number}" for number in range(1, record.attempt + 1))]
    for step in [*due, "done"] if record.state.finished else due:
        if step not in steps:
            find(Wrong.LOST, f"it is {record.state}, and its log never says: {step}")
    for entry in doubled_lines(log):
        find(Wrong.DOUBLED, f"its log says again at {entry.id}: {_short(entry.data['text'])}")
    if record.failure is not None and record.failure.code == UNFORESEEN:
        find(Wrong.WRONG, f"it failed for a reason that nobody foresaw: {record.failure.message}")
    return findings


def _step(entry: LogEntry) -> str:
    """Which step of a task's life an event is; "" for one that is none."""
    if entry.type == "state":
        return f"{entry.data['state']}, attempt {entry.data['attempt']}"
    return "done" if entry.type == "done" else ""


def doubled_lines(log: Sequence[LogEntry]) -> list[LogEntry]:
    """Lines of the log that were said again, in the same attempt and at once. A job that is begun again says them
    again, and so may one that tries something again after a pause."""
    found: list[LogEntry] = []
    said: dict[tuple[str, str], float] = {}
    for entry in log:
        if entry.type == "state":
            said.clear()
        elif entry.type == "log":
            words, time = (entry.data["level"], entry.data["text"]), entry.data["time"]
            if abs(time - said.get(words, float("-inf"))) < SAME_SECONDS:
                found.append(entry)
            said[words] = time
    return found


def lacks_of_webhook(follower: JobRecord | None) -> list[str]:
    """What is wrong with the task that tells the webhook of another one."""
    if follower is None:
        return ["no task tells its webhook"]
    if not follower.state.finished or follower.state == "succeeded":
        return []
    code = follower.failure.code if follower.failure else "no reason"
    return [] if code in KILLED else [f"its webhook was not told: task {follower.ticket} {follower.state} ({code})"]


def judge_unfinished(records: Iterable[JobRecord]) -> list[Finding]:
    """Also what nobody has asked for, such as an update of the repository, has to end."""
    return [
        Finding(Wrong.LOST, f"task {record.ticket}", f"{record.kind}: it is {record.state} at the end of the run")
        for record in records
    ]


def judge_proof(accepted: Mapping[str, int], faults: int) -> list[Finding]:
    """A run in which nothing happened proves nothing: what was accepted, by kind, and how many faults were done."""
    findings = [
        Finding(Wrong.WRONG, "run", f"nothing was proved: no {kind} was accepted")
        for kind in KINDS
        if not accepted.get(kind)
    ]
    if not faults:
        findings.append(Finding(Wrong.WRONG, "run", "nothing was proved: no fault was done"))
    return findings


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
