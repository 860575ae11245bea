"""What the deployment has said yes to, written down at the moment in which its answer came."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Accepted:
    """A request that was accepted. ``key`` is what the deployment knows it by; ``promised`` what is to come of it."""

    kind: str
    key: str
    promised: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """One message that a watcher got: the id of the event, its type and what it said."""

    id: str
    event: str
    arguments: Any = None


class Watch:
    """What one watcher of a task has seen, in its order, however often its connection broke."""

    def __init__(self, ticket: int, name: str) -> None:
        self.ticket = ticket
        self.name = name
        self.seen: list[Seen] = []
        #: How often it has connected.
        self.connections = 0
        self.ended = False

    def take(self, event: str, arguments: Any, event_id: str) -> None:
        """Note a message, also one that came before: that is for the judge to say."""
        self.seen.append(Seen(event_id, event, arguments))
        self.ended = event == "done"

    @property
    def after(self) -> str:
        """The id of the event that was seen last."""
        return self.seen[-1].id if self.seen else "0-0"


class Notebook:
    """Written to by all clients at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.accepted: list[Accepted] = []
        self.watches: list[Watch] = []
        #: How many requests were sent, by kind, how many of them were told to come again, or never answered at all, and
        #: how many were answered no.
        self.requests: Counter[str] = Counter()
        self.told_again: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        #: What clients were told that no client should be told; each is a finding.
        self.surprises: list[str] = []
        #: Requests whose answer never came: they may have been accepted, or not.
        self.uncertain: list[Accepted] = []

    def request(self, kind: str) -> None:
        with self._lock:
            self.requests[kind] += 1

    def accept(self, kind: str, key: str, **promised: Any) -> None:
        with self._lock:
            self.accepted.append(Accepted(kind, key, promised))

    def refuse(self, kind: str, why: str) -> None:
        with self._lock:
            self.refused[f"{kind}: {why}"] += 1

    def lose_answer(self, kind: str, key: str, status: int | None, **promised: Any) -> None:
        """A request that was not answered, or with a status that leaves open whether it was taken."""
        with self._lock:
            (self.unanswered if status is None else self.told_again)[kind] += 1
            self.uncertain.append(Accepted(kind, key, promised))

    def surprise(self, text: str) -> None:
        with self._lock:
            self.surprises.append(text)

    def watch(self, ticket: int, name: str) -> Watch:
        made = Watch(ticket, name)
        with self._lock:
            self.watches.append(made)
        return made

    def of_kind(self, kind: str) -> list[Accepted]:
        with self._lock:
            return [one for one in self.accepted if one.kind == kind]
