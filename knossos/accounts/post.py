"""Mails to the owners of accounts, as jobs of the engine.

A job is told whose mail it is and what for; it makes the link itself, so that no secret waits in a queue. Without an
SMTP server nothing is sent: the link is written to the log, once, for the operator to pass on.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Any

from knossos.accounts import mail
from knossos.accounts.accounts import Account, as_account
from knossos.accounts.mail_links import MailLinks, Purpose
from knossos.accounts.tables import User
from knossos.database import Database
from knossos.jobs import Engine, JobContext, JobSpec
from knossos.settings import Settings

#: Seconds before the second, third, ... try.
PAUSES = (10, 60, 300, 900, 3600)
#: Seconds that one try may take.
TIMEOUT_SECONDS = 120.0
#: Owner of these jobs.
OWNER = "server:mail"

_log = logging.getLogger(__name__)


class Letter(StrEnum):
    """What a mail is about."""

    #: The link that proves the address.
    VERIFY = "verify"
    #: The link to a new password.
    RESET = "reset"
    #: An operator made the account; the link to its first password.
    INVITE = "invite"
    #: Somebody wanted to make a second account with the address.
    KNOWN = "known"


TEXTS = {
    Letter.VERIFY: mail.VERIFY,
    Letter.RESET: mail.RESET,
    Letter.INVITE: mail.INVITE,
    Letter.KNOWN: mail.KNOWN,
}
LINKS = {Letter.VERIFY: Purpose.VERIFY, Letter.RESET: Purpose.RESET, Letter.INVITE: Purpose.RESET}


class Post:
    def __init__(self, settings: Settings, database: Database, engine: Engine) -> None:
        self._settings = settings
        self._links = MailLinks(settings, database)
        self._engine = engine

    def hand_out(self, letter: Letter, account: Account) -> str:
        """Have a mail sent, and answer ""; where none can be, the link itself, for an operator to pass on."""
        if self._settings.smtp and account.email is not None:
            self.send(letter, account.user_id, account.name)
            return ""
        return self._links.issue(account.user_id, LINKS[letter])

    def send(self, letter: Letter, user_id: int, name: str) -> None:
        """Have a mail sent to an account, or its link logged."""
        if self._settings.smtp:
            self._engine.submit(
                JobSpec(
                    function="knossos.accounts.post.deliver",
                    kind="mail",
                    title=f"Mail ({letter})",
                    owner=OWNER,
                    payload={"letter": letter, "user_id": user_id},
                    timeout_seconds=TIMEOUT_SECONDS,
                    retry_delays_seconds=PAUSES,
                )
            )
        elif letter in LINKS:
            link = self._links.issue(user_id, LINKS[letter])
            _log.warning("SMTP is not set, so pass this on to the owner of the account %s (%s): %s", name, letter, link)


def deliver(context: JobContext, payload: dict[str, Any]) -> None:
    """The job: write the mail and hand it over. An account that is gone by now gets none.

    Raises:
        MailFailed: this try failed.
    """
    settings, letter, user_id = context.settings, Letter(payload["letter"]), int(payload["user_id"])
    database = Database(settings)
    try:
        with database.reading() as session:
            user = session.get(User, user_id)
            account = None if user is None else as_account(user)
        if account is None or account.email is None or account.disabled:
            context.info("There is nobody to write to any more.")
            return
        link = MailLinks(settings, database).issue(user_id, LINKS[letter]) if letter in LINKS else ""
    finally:
        database.close()
    message = mail.compose(settings, TEXTS[letter], to=account.email, name=account.name, link=link)
    mail.deliver(settings, message)
    context.info("The mail server has accepted the mail.")
