"""Webhooks: which addresses are told of what happens to a mod, and telling them.

Owns the table of webhooks, who may change it, and the jobs that deliver (`webhook_delivery.py` does the delivering).
What always holds: a secret is shown once, to whoever made the webhook; an address and a secret are in no job, no log
and no message, since the jobs carry the webhook's number and read the rest when they run; what happens to a private mod
is told to that mod's own webhooks only.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from knossos.accounts.audit import record
from knossos.accounts.tokens import Identity
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.jobs import JobSpec
from knossos.outgoing.webhook import check_webhook_url, pauses
from knossos.publishing.errors import NoSuchMod, Refused
from knossos.publishing.release_input import is_mod_id
from knossos.publishing.tables import Member, Mod, Release, Webhook
from knossos.publishing.webhook_events import Notice, WebhookEvent, WebhookFormat, plain_text, problems
from knossos.settings import Settings

if TYPE_CHECKING:
    from knossos.jobs import Engine

__all__ = ["NewWebhook", "WebhookEvent", "WebhookFormat", "WebhookView", "Webhooks"]

#: Webhooks that one mod may have, and that there may be for all mods.
MAX_PER_MOD = 10
MAX_FOR_ALL = 20
#: The lowest right in a team that may change webhooks: 0 owner, 10 manager.
LEAST_ROLE = 10
#: Seconds that a try may take with all its redirects.
TRY_SECONDS = 90
#: Refusals that say nothing of a release itself.
UNTOLD_REASONS = frozenset({"unauthorized", "duplicated version", "release missing"})
#: What a webhook is told of where nothing is chosen.
DEFAULT_EVENTS = (WebhookEvent.RELEASE, WebhookEvent.DELETION, WebhookEvent.FAILED_VALIDATION)
#: Random bytes of a secret.
SECRET_BYTES = 32
#: Makes the ids of deliveries out of what they tell.
_DELIVERIES = uuid.UUID("6f6c0c5e-0f0c-4f2f-9a86-5b3b1f0f7a11")


@dataclass(frozen=True)
class WebhookView:
    """A webhook as its managers see it: the address is shortened to its host, the secret is not there."""

    id: int
    mod_id: str | None
    #: Scheme and host of the address; the rest often is a secret.
    address: str
    format: str
    events: list[str]
    created_at: float
    disabled_at: float | None
    last_try_at: float | None
    last_result: str


@dataclass(frozen=True)
class NewWebhook:
    """A webhook that was just made, with its secret, which is shown now and never again."""

    webhook: WebhookView
    secret: str


class Webhooks:
    def __init__(self, settings: Settings, database: Database, engine: Engine) -> None:
        self._settings = settings
        self._database = database
        self._engine = engine

    # --- telling ----------------------------------------------------------------------------------

    def tell(
        self, event: WebhookEvent, mod_id: str, version: str, details: dict[str, Any], *, occurrence: str = ""
    ) -> list[int]:
        """Have everyone told who wants to know. Call it when it has happened, outside of transactions.

        Args:
            details: what is known: ``title``, ``private`` (bool), ``user`` (the account's name), ``url`` (a page about
                it), ``errors`` (of a failed validation: a list of {"path", "message"}). What is left out is looked up;
                a version that is not known counts as private.
            occurrence: what tells this event from another of the same kind about the same version, and stays the same
                when a job that is run again tells it again; the job's ticket is good. Receivers drop such doubles.
        Returns:
            The tickets of the deliveries.
        """
        with self._database.reading() as session:
            mod = session.get(Mod, mod_id)
            private = self._is_private(session, mod_id, version, details)
            if event is WebhookEvent.FAILED_VALIDATION and (mod is None or mod.listed_id is None):
                # Until something of a mod is public, nobody else hears that it is there.
                private = True
            found = self._wanting(session, event, mod_id, private)
        now = int(time.time())
        notice = Notice(
            event=event,
            mod=mod_id,
            version=version,
            title=str(details.get("title") or (mod.title if mod else mod_id)),
            url=str(details.get("url") or self._page_of(mod_id, version if event is WebhookEvent.RELEASE else "")),
            time=now,
            delivery="",
            user=str(details.get("user") or ""),
            errors=problems(details.get("errors")),
        )
        once = occurrence or ("" if event is WebhookEvent.RELEASE else uuid.uuid4().hex)
        return [
            self._submit(webhook, notice.model_copy(update={"delivery": _delivery(webhook, notice, once)}))
            for webhook in found
        ]

    def tell_refused(
        self, identity: Identity, data: Mapping[str, Any], refusal: Refused, *, occurrence: str = ""
    ) -> list[int]:
        """Have everyone told who wants to know of a release that was refused for what it says, before any job.

        Not of one that its sender had no right to send, and not of a version that is taken: clients ask that way.

        Args:
            data: a full mod as it was sent.
        """
        mod_id = data.get("id")
        if refusal.reason in UNTOLD_REASONS or not is_mod_id(mod_id):
            return []
        version, title = (plain_text(data.get(name)) for name in ("version", "title"))
        errors = refusal.errors or [{"path": "", "message": refusal.message}]
        details = {"title": title, "private": data.get("private") is not False, "user": identity.name, "errors": errors}
        return self.tell(WebhookEvent.FAILED_VALIDATION, str(mod_id), version, details, occurrence=occurrence)

    def _wanting(self, session: Session, event: WebhookEvent, mod_id: str, private: bool) -> list[Webhook]:
        whose = Webhook.mod_id == mod_id
        if not private:
            whose = or_(whose, Webhook.mod_id.is_(None))
        rows = session.scalars(select(Webhook).where(whose, Webhook.disabled_at.is_(None)).order_by(Webhook.id))
        return [webhook for webhook in rows if event.value in webhook.events.split()]

    def _is_private(self, session: Session, mod_id: str, version: str, details: dict[str, Any]) -> bool:
        if isinstance(details.get("private"), bool):
            return bool(details["private"])
        statement = select(Release.private).where(Release.mod_id == mod_id, Release.version == version)
        return session.scalar(statement) is not False

    def _submit(self, webhook: Webhook, notice: Notice) -> int:
        further = self._settings.webhook_tries - 1
        spec = JobSpec(
            function="knossos.publishing.webhook_delivery.deliver",
            kind="webhook",
            title=f"Webhook of {urlsplit(webhook.url).hostname or 'nowhere'}: {notice.event} {notice.mod}",
            # An owner of its own: of one owner only so many jobs run at once, and a slow receiver takes only its own.
            owner=f"webhook:{webhook.id}",
            payload={
                "webhook": webhook.id,
                "mark": mark(webhook),
                "notice": notice.model_dump(mode="json"),
            },
            timeout_seconds=TRY_SECONDS,
            retries=further,
            retry_delays_seconds=pauses(self._settings.webhook_tries),
        )
        return self._engine.submit(spec).ticket

    def _page_of(self, mod_id: str, version: str = "") -> str:
        page = f"{self._settings.base_url}/mods/{quote(mod_id, safe='')}"
        return f"{page}/{quote(version, safe='')}" if version else page

    # --- the list ---------------------------------------------------------------------------------

    def of_mod(self, identity: Identity, mod_id: str | None) -> list[WebhookView]:
        """The webhooks of a mod, or (None) those for all mods.

        Raises:
            NoSuchMod: there is no such mod.
            Refused: the caller may not manage them.
        """
        with self._database.reading() as session:
            self._require(session, identity, mod_id)
            whose = Webhook.mod_id.is_(None) if mod_id is None else Webhook.mod_id == mod_id
            return [_view(webhook) for webhook in session.scalars(select(Webhook).where(whose).order_by(Webhook.id))]

    def add(
        self,
        identity: Identity,
        mod_id: str | None,
        url: str,
        *,
        kind: str = WebhookFormat.JSON,
        events: Sequence[str] = DEFAULT_EVENTS,
        address: str = "",
    ) -> NewWebhook:
        """Make a webhook for a mod, or (None) for all mods.

        Args:
            kind: "json" or "discord".
            events: what it is told of, out of `DEFAULT_EVENTS`.
            address: of the caller's computer, for the audit log.

        Raises:
            NoSuchMod: there is no such mod.
            Refused: the caller may not, or there are too many already.
            InvalidInput: the address may not be reached, or the format or an event is unknown.
        """
        url = url.strip()
        check_webhook_url(url, self._settings, path="url")
        chosen = _checked(kind, events)
        secret = secrets.token_urlsafe(SECRET_BYTES)
        with self._database.session() as session:
            self._require(session, identity, mod_id, lock=True)
            whose = Webhook.mod_id.is_(None) if mod_id is None else Webhook.mod_id == mod_id
            most = MAX_FOR_ALL if mod_id is None else MAX_PER_MOD
            if session.scalar(select(func.count()).select_from(Webhook).where(whose)) >= most:  # type: ignore[operator]
                raise Refused(f"There are {most} webhooks already; remove one first.", reason="too many webhooks")
            webhook = Webhook(
                mod_id=mod_id,
                url=url,
                secret=secret,
                format=kind,
                events=" ".join(chosen),
                created_by=identity.user_id,
                created_at=time.time(),
                last_result="",
            )
            session.add(webhook)
            session.flush()
            self._note(session, identity, "webhook.add", webhook, address)
            return NewWebhook(_view(webhook), secret)

    def remove(self, identity: Identity, webhook_id: int, *, address: str = "") -> None:
        """Remove a webhook. What is on its way to it is not sent any more.

        Raises:
            Refused: there is no such webhook, or the caller may not manage it.
        """
        with self._database.session() as session:
            webhook = self._find(session, identity, webhook_id)
            session.delete(webhook)
            self._note(session, identity, "webhook.remove", webhook, address)

    def test(self, identity: Identity, webhook_id: int) -> int:
        """Send a ping and return the ticket of its delivery. One that was switched off is switched on again.

        Raises:
            Refused: there is no such webhook, or the caller may not manage it.
        """
        with self._database.session() as session:
            webhook = self._find(session, identity, webhook_id)
            webhook.disabled_at = None
            mod = session.get(Mod, webhook.mod_id) if webhook.mod_id else None
        notice = Notice(
            event=WebhookEvent.PING,
            mod=webhook.mod_id or "",
            version="",
            title=mod.title if mod else "",
            url=self._page_of(mod.id) if mod else self._settings.base_url,
            time=int(time.time()),
            delivery=str(uuid.uuid4()),
            user=identity.name,
        )
        return self._submit(webhook, notice)

    def _find(self, session: Session, identity: Identity, webhook_id: int) -> Webhook:
        webhook = session.get(Webhook, webhook_id)
        if webhook is None:
            raise Refused("There is no such webhook.", reason="webhook missing")
        self._require(session, identity, webhook.mod_id)
        return webhook

    def _note(self, session: Session, identity: Identity, action: str, webhook: Webhook, address: str) -> None:
        record(
            session,
            actor=identity.name,
            address=address,
            action=action,
            subject=f"mod:{webhook.mod_id}" if webhook.mod_id else "all mods",
            details={"webhook": webhook.id, "address": _view(webhook).address, "events": webhook.events},
        )

    def _require(self, session: Session, identity: Identity, mod_id: str | None, *, lock: bool = False) -> None:
        """Raise unless the caller may manage these webhooks. ``lock``: hold the mod, so that two adds are counted."""
        if mod_id is not None:
            statement = select(Mod.id).where(Mod.id == mod_id)
            locked = statement.with_for_update() if lock else statement
            if not is_mod_id(mod_id) or session.scalar(locked) is None:
                raise NoSuchMod(f"There is no mod {mod_id!a}.", mod_id=mod_id)
        if identity.is_operator:
            return
        role = None if mod_id is None else session.get(Member, (mod_id, identity.user_id))
        if role is None or role.role > LEAST_ROLE:
            who = "operators of this server" if mod_id is None else "owners and managers of the mod"
            raise Refused(f"Only {who} manage these webhooks.", reason="unauthorized")


def mark(webhook: Webhook) -> str:
    """Tells a webhook from a later one that was given the same number."""
    return hashlib.sha256(webhook.secret.encode()).hexdigest()[:16]


def _delivery(webhook: Webhook, notice: Notice, once: str) -> str:
    return str(uuid.uuid5(_DELIVERIES, "\n".join((mark(webhook), notice.event, notice.mod, notice.version, once))))


def _checked(kind: str, events: Collection[str]) -> list[str]:
    errors = []
    if kind not in list(WebhookFormat):
        errors.append({"path": "format", "message": f"expected one of {', '.join(WebhookFormat)}"})
    unknown = [event for event in events if event not in list(DEFAULT_EVENTS)]
    if unknown or not events:
        errors.append({"path": "events", "message": f"expected some of {', '.join(DEFAULT_EVENTS)}"})
    if errors:
        raise InvalidInput("; ".join(f"{error['path']}: {error['message']}" for error in errors), errors=errors)
    return [event.value for event in DEFAULT_EVENTS if event in events]


def _view(webhook: Webhook) -> WebhookView:
    parts = urlsplit(webhook.url)
    return WebhookView(
        id=webhook.id,
        mod_id=webhook.mod_id,
        address=f"{parts.scheme}://{parts.netloc}",
        format=webhook.format,
        events=webhook.events.split(),
        created_at=webhook.created_at,
        disabled_at=webhook.disabled_at,
        last_try_at=webhook.last_try_at,
        last_result=webhook.last_result,
    )
