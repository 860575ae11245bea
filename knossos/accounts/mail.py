"""Mails: what they say, and handing them to the SMTP server of the setting SMTP.

One call is one try; pauses and further tries are the job's (`post.py`). Certificates are checked.
"""

from __future__ import annotations

import ipaddress
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from knossos.errors import KnossosError
from knossos.settings import Settings

DEFAULT_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}

#: The first digit of replies that say that it will not work later either.
FOR_GOOD = 5

VERIFY = (
    "Confirm your mail address",
    """Hello {name},

somebody, probably you, made the account {name} with this mail address at {site}.
To confirm it, open this address:

{link}

It works once, and until {hours} from now. If it was not you, do nothing: the account is not opened.
""",
)
RESET = (
    "Set a new password",
    """Hello {name},

somebody, probably you, asked for a new password for your account {name} at {site}.
To set one, open this address:

{link}

It works once, and until {hours} from now. If it was not you, do nothing: your password stays as it is.
""",
)
INVITE = (
    "An account for you",
    """Hello {name},

whoever runs {site} has made the account {name} for you there.
To choose its password and open it, open this address:

{link}

It works once, and until {hours} from now; after that, ask for a new one with "Forgotten password" on the login page.
If you do not want the account, do nothing.
""",
)
KNOWN = (
    "You have an account already",
    """Hello {name},

somebody, probably you, wanted to make an account with this mail address at {site}.
There is one already: {name}. If you have forgotten its password, ask for a new one on the login page.
If it was not you, do nothing.
""",
)


class MailFailed(KnossosError):
    """The mail was not accepted this time; later it may be."""

    code = "mail_failed"
    retryable = True


class MailRefused(MailFailed):
    """The mail will not be accepted later either."""

    code = "mail_refused"
    retryable = False


def compose(settings: Settings, text: tuple[str, str], *, to: str, name: str, link: str = "") -> EmailMessage:
    """The mail with that subject and text to the owner of an account."""
    subject, body = text
    hours = max(1, round(settings.mail_link_lifetime / 3600))
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = settings.mail_from
    message["To"] = to
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=_own_host(settings))
    message["Auto-Submitted"] = "auto-generated"
    in_hours = "1 hour" if hours == 1 else f"{hours} hours"
    message.set_content(body.format(name=name, site=settings.base_url, link=link, hours=in_hours))
    return message


def deliver(settings: Settings, message: EmailMessage) -> None:
    """Hand a mail to the SMTP server.

    Raises:
        MailFailed: it does not answer, or refuses for now.
        MailRefused: it refuses for good.
    """
    server = urlsplit(settings.smtp)
    try:
        with _connect(settings) as smtp:
            if server.username:
                smtp.login(unquote(server.username), unquote(server.password or ""))
            smtp.send_message(message)
    except smtplib.SMTPRecipientsRefused as error:
        status, text = next(iter(error.recipients.values()))
        raise _failed(status, text) from error
    except smtplib.SMTPResponseException as error:
        raise _failed(error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPNotSupportedError as error:
        raise MailRefused(f"the mail server cannot take this mail: {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise MailFailed(f"the mail server {server.hostname} does not take the mail: {error}") from error


def _connect(settings: Settings) -> smtplib.SMTP:
    server = urlsplit(settings.smtp)
    host, port = server.hostname or "", server.port or DEFAULT_PORTS[server.scheme]
    seconds, own = settings.connect_timeout_seconds, _own_host(settings)
    context = ssl.create_default_context()
    if server.scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, own, timeout=seconds, context=context)
    smtp = smtplib.SMTP(host, port, own, timeout=seconds)
    if server.scheme == "smtp+starttls":
        try:
            smtp.starttls(context=context)
        except BaseException:
            smtp.close()
            raise
    return smtp


def _own_host(settings: Settings) -> str:
    """What this machine calls itself: its public name, without asking a name server for it."""
    host = urlsplit(settings.base_url).hostname or "localhost"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return f"[{'IPv6:' if address.version == 6 else ''}{address}]"


def _failed(status: int, text: bytes | str) -> MailFailed:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    kind = MailRefused if status // 100 == FOR_GOOD else MailFailed
    return kind(f"the mail server refuses the mail: {status} {words}"[:500])
