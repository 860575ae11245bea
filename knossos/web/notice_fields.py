"""Notices that are asked for with what is submitted: ``notice``, ``notice_mail`` and ``notice_webhook``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knossos.accounts import Account
from knossos.errors import InvalidInput
from knossos.scripting.notices.states import NoticeWhen, Wanted
from knossos.scripting.runs import Accepting
from knossos.scripting.schedules.wish import Problems, read_wanted
from knossos.web.services import services

#: The fields by those of a notice; what is wrong with it as a whole is said of the first.
FIELDS = {"": "notice", "when": "notice", "mail": "notice_mail", "webhook": "notice_webhook"}
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


def wanted_of(values: Mapping[str, str], prefix: str = "") -> Wanted:
    """What somebody wants to be told. Who only says how wants to be told of each end.

    Args:
        prefix: what the fields' names begin with in errors.

    Raises:
        InvalidInput: its ``errors`` name the fields.
    """
    webhook, problems = values.get("notice_webhook", ""), Problems()
    mail: Any = values.get("notice_mail", "")
    mail = _FLAGS.get(mail.lower(), mail)
    when = values.get("notice", "") or (NoticeWhen.END if webhook.strip() or mail else NoticeWhen.NEVER)
    wanted = read_wanted({"when": when, "mail": mail, "webhook": webhook}, problems, prefix="")
    if problems.errors:
        raise renamed(InvalidInput("", errors=problems.errors), prefix)
    return wanted


def accepting_of(account: Account, run_id: str, wanted: Wanted, title: str, prefix: str = "") -> Accepting | None:
    """See `Notices.with_submission`. Raises InvalidInput whose ``errors`` name the fields."""
    try:
        return services().scheduling.notices.with_submission(account, run_id, wanted, title)
    except InvalidInput as error:
        raise renamed(error, prefix) from error


def renamed(error: InvalidInput, prefix: str) -> InvalidInput:
    """The same error by the names that the fields have in a submission."""
    errors = [
        {**one, "path": prefix + FIELDS[one["path"].removeprefix("notices").removeprefix(".")]} for one in error.errors
    ]  # fmt: skip
    return InvalidInput("; ".join(f"{one['path']}: {one['message']}" for one in errors), errors=errors)
