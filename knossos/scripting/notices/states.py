"""The words of notices: when one wants them, what they tell of, by which way, and where each is in its life."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class NoticeWhen(StrEnum):
    """What somebody wants to be told."""

    NEVER = "never"
    #: Only what did not end well.
    FAILURE = "failure"
    #: Each end.
    END = "end"


class Channel(StrEnum):
    #: To the account's address.
    MAIL = "mail"
    WEBHOOK = "webhook"


class NoticeEvent(StrEnum):
    #: A run has ended.
    RUN_ENDED = "run.ended"
    #: A schedule was due, and nothing was run.
    NOT_RUN = "schedule.not_run"
    #: A schedule was stopped by the server.
    STOPPED = "schedule.stopped"


class NoticeState(StrEnum):
    """Waiting leads to due or dropped; due to sent, failed or dropped."""

    #: Its run has not ended.
    WAITING = "waiting"
    #: It is to be delivered.
    DUE = "due"
    #: The receiver has accepted it.
    SENT = "sent"
    #: It was tried as often as it may be.
    FAILED = "failed"
    #: There is nothing to tell, or nobody to tell it to.
    DROPPED = "dropped"


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to be told, and how. ``webhook`` "": by no webhook."""

    when: NoticeWhen = NoticeWhen.NEVER
    mail: bool = False
    webhook: str = ""

    def channels(self) -> list[tuple[Channel, str]]:
        """The ways, each with its address."""
        if self.when is NoticeWhen.NEVER:
            return []
        found = [(Channel.MAIL, "")] if self.mail else []
        return found + ([(Channel.WEBHOOK, self.webhook)] if self.webhook else [])
