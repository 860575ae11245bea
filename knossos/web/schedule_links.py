"""What the page of a run says of schedules and notices."""

from __future__ import annotations

from typing import Any

from flask import url_for

from knossos.accounts import Account
from knossos.accounts.access import owner_of_account
from knossos.scripting.mail import can_send
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import Run
from knossos.web.authentication import current_session
from knossos.web.services import services


def about_run(run: Run) -> dict[str, Any]:
    """Where the visitor has it scheduled, and what they are told of its end; nothing for who is not logged in."""
    session = current_session()
    if session is None:
        return {"schedule_link": "", "wanted": None, "can_mail": False}
    query: dict[str, Any] | None = None
    if run.kind is RunKind.SCRIPT:
        query = {"script": run.name, "args": list(run.arguments)}
    elif run.kind is RunKind.HOME and run.owner == owner_of_account(session.name):
        query = {"job": run.run_id}
    elif run.kind is RunKind.CALCULATION and run.arguments:
        query = {"calculation": run.arguments[0]}
    wanted = None if run.outcome else services().scheduling.notices.of_run(session.account, run.run_id)
    link = "" if query is None else url_for("schedule_pages.new", **query)
    return {"schedule_link": link, "wanted": wanted, "can_mail": can_be_mailed(session.account)}


def can_be_mailed(account: Account | None) -> bool:
    """Whether a page offers mail: the server sends any, and the account has an address that was proved."""
    return account is not None and bool(account.email) and account.verified and can_send(services().settings)
