"""Mails of scripts, sent through the operator's SMTP server or sendmail program, as jobs of the engine.

A script whose description says so may send some; the sender is always MAIL_FROM, and who is behind it is said in the
mail. A mail that cannot be sent now is tried again later, and does not hold up the script.
"""

from __future__ import annotations

import base64
import subprocess
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from knossos.accounts import mail as smtp
from knossos.accounts.post import PAUSES, TIMEOUT_SECONDS
from knossos.jobs import Engine, JobContext, JobSpec
from knossos.scripting.channel import Mail
from knossos.settings import Settings

FUNCTION = "knossos.scripting.mail.deliver"
#: Mails that one run may send.
MAX_MAILS = 20
#: Exit codes of sendmail that no second try mends (sysexits.h): usage, data, no user, no host, no permission.
FOR_GOOD = {64, 65, 67, 68, 77}


def can_send(settings: Settings) -> bool:
    """Whether the operator has configured a way for mails to go out."""
    return bool(settings.smtp or settings.sendmail)


def submit(engine: Engine, mail: Mail, *, owner: str, script: str) -> int:
    """Have a mail sent; answers the ticket of its job."""
    message = compose(engine.settings, mail, script)
    spec = JobSpec(
        function=FUNCTION,
        kind="mail",
        title=f"Mail of {script}",
        owner=owner,
        payload={"message": base64.b64encode(message.as_bytes(policy=policy.SMTP)).decode()},
        timeout_seconds=TIMEOUT_SECONDS,
        retry_delays_seconds=PAUSES,
    )
    return engine.submit(spec).ticket


def compose(settings: Settings, mail: Mail, script: str) -> EmailMessage:
    """The mail as it goes out."""
    message = EmailMessage()
    message["Subject"] = mail.subject
    message["From"] = settings.mail_from
    message["To"] = ", ".join(mail.to)
    if mail.cc:
        message["Cc"] = ", ".join(mail.cc)
    message["Date"] = formatdate()
    message["Auto-Submitted"] = "auto-generated"
    message["X-Knossos-Script"] = script.encode("ascii", "replace").decode()
    message.set_content(mail.text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    for file in mail.attachments:
        kind, _, subtype = file.type.partition("/")
        message.add_attachment(file.data, maintype=kind, subtype=subtype, filename=file.name)
    return message


def deliver(context: JobContext, payload: dict[str, Any]) -> None:
    """The job: hand the mail over.

    Raises:
        MailFailed, MailRefused
    """
    message = message_from_bytes(base64.b64decode(payload["message"]), policy=policy.default)
    assert isinstance(message, EmailMessage)
    hand_over(context.settings, message)
    context.info("The mail was accepted.")


def hand_over(settings: Settings, message: EmailMessage) -> None:
    """Hand a mail over by the way that the operator has configured.

    Raises:
        MailFailed, MailRefused
    """
    if settings.smtp:
        smtp.deliver(settings, message)
    else:
        _by_sendmail(settings, message)


def _by_sendmail(settings: Settings, message: EmailMessage) -> None:
    command = [settings.sendmail, "-t", "-i"]
    try:
        ended = subprocess.run(command, input=message.as_bytes(), capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise smtp.MailFailed(f"SENDMAIL: {settings.sendmail} does not take the mail: {error}") from error
    if ended.returncode:
        said = " ".join(ended.stderr.decode("utf-8", "replace").split())[:300]
        kind = smtp.MailRefused if ended.returncode in FOR_GOOD else smtp.MailFailed
        raise kind(f"sendmail refuses the mail: exit code {ended.returncode} {said}")
