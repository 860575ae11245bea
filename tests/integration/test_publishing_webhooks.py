"""Webhooks of mods: who may have them, who is told what, and what goes over the wire."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from knossos.accounts.tables import AuditEntry, User
from knossos.accounts.tokens import Identity, Scope
from knossos.database import Database
from knossos.errors import InvalidInput
from knossos.jobs import JobSpec
from knossos.publishing.errors import NoSuchMod, Refused
from knossos.publishing.tables import Member, Mod, Release, Webhook
from knossos.publishing.webhook_delivery import DeliveryFailed, deliver
from knossos.publishing.webhooks import MAX_PER_MOD, WebhookEvent, Webhooks
from knossos.settings import Settings
from tests.support.downloads import NotingReporter
from tests.support.file_server import Answer, FileServer, Silent

URL = "https://hooks.example.org/services/secret-path?key=secret"


class NotingEngine:
    """Takes the jobs that are submitted."""

    def __init__(self) -> None:
        self.specs: list[JobSpec] = []

    def submit(self, spec: JobSpec) -> Any:
        self.specs.append(spec)
        return type("Record", (), {"ticket": len(self.specs)})


class NotingContext(NotingReporter):
    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.attempt, self.attempts = 1, 5


def identity(number: int, *roles: str) -> Identity:
    return Identity(number, f"user{number}", frozenset(roles), frozenset(Scope))


OWNER, MANAGER, UPLOADER, STRANGER = identity(1), identity(2), identity(3), identity(4)
OPERATOR = identity(5, "operator")


class Site:
    """A database with two mods, one of them private, and their team."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.settings = settings
        self.database = database
        self.engine = NotingEngine()
        self.webhooks = Webhooks(settings, database, self.engine)  # type: ignore[arg-type]
        now = time.time()
        with database.session() as session:
            for number in range(1, 6):
                name = f"user{number}"
                session.add(User(id=number, name=name, name_key=name, password_hash="", created_at=now))
            for mod_id in ("fsport", "hidden"):
                mod = Mod(id=mod_id, id_key=mod_id, title=f"The {mod_id}", type="mod", created_at=now, updated_at=now)
                session.add(mod)
                session.flush()
                for number, role in ((1, 0), (2, 10), (3, 20)):
                    session.add(Member(mod_id=mod_id, user_id=number, role=role))
                session.add(
                    Release(
                        mod_id=mod_id, version="1.0.0", version_key="1.0.0", state="published", document="{}", change=1,
                        offered=False, private=mod_id == "hidden", created_at=now, updated_at=now,
                    )
                )  # fmt: skip

    def rows(self) -> list[Webhook]:
        with self.database.reading() as session:
            return list(session.scalars(select(Webhook).order_by(Webhook.id)))

    def told(self) -> list[tuple[int, str, str]]:
        """Webhook, event and mod of each delivery so far; they are forgotten."""
        found = [(spec.payload["webhook"], *_what(spec)) for spec in self.engine.specs]
        self.engine.specs.clear()
        return found


def _what(spec: JobSpec) -> tuple[str, str]:
    return spec.payload["notice"]["event"], spec.payload["notice"]["mod"]


def site_of(database: Database, folder: Path) -> Site:
    settings = Settings(
        data_path=folder / "data",
        database=database.url.render_as_string(hide_password=False),
        allowed_private_networks=("127.0.0.0/8",),
        public_url="https://knossos.example.org",
        read_timeout_seconds=1.5,
    )
    return Site(database, settings)


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    """On each kind of database."""
    return site_of(database, tmp_path)


@pytest.fixture
def sending(sqlite_template: Path, tmp_path: Path) -> Iterator[Site]:
    """On SQLite alone: for what is about deliveries."""
    (tmp_path / "data").mkdir()
    shutil.copy(sqlite_template, tmp_path / "data" / "knossos.sqlite3")
    database = Database(Settings(data_path=tmp_path / "data"))
    yield site_of(database, tmp_path)
    database.close()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


def test_owners_and_managers_have_webhooks_and_see_all_of_them_but_the_secrets(site: Site) -> None:
    made = site.webhooks.add(OWNER, "fsport", URL, events=["failed_validation", "release"])
    site.webhooks.add(MANAGER, "fsport", "https://discord.com/api/webhooks/1/secret", kind="discord")
    site.webhooks.add(OPERATOR, None, "https://all.example.org/")
    assert len(made.secret) > 40
    assert made.secret == site.rows()[0].secret
    mine = site.webhooks.of_mod(MANAGER, "fsport")
    assert [(one.address, one.format, one.events) for one in mine] == [
        ("https://hooks.example.org", "json", ["release", "failed_validation"]),
        ("https://discord.com", "discord", ["release", "deletion", "failed_validation"]),
    ]
    assert "secret" not in repr(mine)
    assert [one.address for one in site.webhooks.of_mod(OPERATOR, None)] == ["https://all.example.org"]
    site.webhooks.remove(OWNER, mine[1].id)
    assert [one.id for one in site.webhooks.of_mod(OPERATOR, "fsport")] == [mine[0].id]
    with site.database.reading() as session:
        noted = session.execute(select(AuditEntry.actor, AuditEntry.action, AuditEntry.details)).all()
    assert [(actor, action) for actor, action, _ in noted][-1] == ("user1", "webhook.remove")
    assert "secret" not in repr(noted)


@pytest.mark.parametrize("who", [UPLOADER, STRANGER], ids=["uploader", "stranger"])
def test_nobody_else_sees_adds_tests_or_removes_one(site: Site, who: Identity) -> None:
    number = site.webhooks.add(OWNER, "fsport", URL).webhook.id
    for_all = site.webhooks.add(OPERATOR, None, URL).webhook.id
    for act in (
        lambda: site.webhooks.of_mod(who, "fsport"),
        lambda: site.webhooks.of_mod(OWNER, None),
        lambda: site.webhooks.add(who, "fsport", URL),
        lambda: site.webhooks.add(OWNER, None, URL),
        lambda: site.webhooks.test(who, number),
        lambda: site.webhooks.remove(who, number),
        lambda: site.webhooks.remove(OWNER, for_all),
    ):
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason == "unauthorized"
    assert len(site.rows()) == 2
    assert site.told() == []


def test_what_cannot_be_a_webhook_is_refused(site: Site) -> None:
    for options, path in (
        ({"url": "http://10.0.0.1/"}, "url"),
        ({"url": "ftp://example.org/"}, "url"),
        ({"url": "https://example.org/" + "x" * 2000}, "url"),
        ({"kind": "xml"}, "format"),
        ({"events": ["release", "ping"]}, "events"),
        ({"events": []}, "events"),
    ):
        with pytest.raises(InvalidInput) as caught:
            site.webhooks.add(OWNER, "fsport", **{"url": URL, **options})  # type: ignore[arg-type]
        assert [error["path"] for error in caught.value.errors] == [path]
    with pytest.raises(NoSuchMod):
        site.webhooks.add(OWNER, "nothing", URL)
    with pytest.raises(Refused) as refused:
        site.webhooks.test(OWNER, 12345)
    assert refused.value.reason == "webhook missing"
    for _ in range(MAX_PER_MOD):
        site.webhooks.add(OWNER, "fsport", URL)
    with pytest.raises(Refused) as refused:
        site.webhooks.add(OWNER, "fsport", URL)
    assert refused.value.reason == "too many webhooks"
    assert len(site.rows()) == MAX_PER_MOD


def test_those_who_asked_are_told_and_private_mods_are_told_to_their_own_only(site: Site) -> None:
    mine = site.webhooks.add(OWNER, "fsport", URL, events=["release", "failed_validation"]).webhook.id
    hidden = site.webhooks.add(OWNER, "hidden", URL).webhook.id
    everywhere = site.webhooks.add(OPERATOR, None, URL, events=["release", "deletion"]).webhook.id
    tell = site.webhooks.tell
    tickets = tell(WebhookEvent.RELEASE, "fsport", "1.0.0", {})
    assert tickets == [1, 2]
    assert site.told() == [(mine, "release", "fsport"), (everywhere, "release", "fsport")]
    tell(WebhookEvent.DELETION, "fsport", "1.0.0", {"private": False})
    assert site.told() == [(everywhere, "deletion", "fsport")]
    tell(WebhookEvent.RELEASE, "hidden", "1.0.0", {})
    assert site.told() == [(hidden, "release", "hidden")]
    # A version that was never published, of which nothing is said, is nobody else's business.
    tell(WebhookEvent.RELEASE, "fsport", "9.9.9", {})
    assert site.told() == [(mine, "release", "fsport")]
    tell(WebhookEvent.RELEASE, "fsport", "1.0.0", {"private": True})
    assert site.told() == [(mine, "release", "fsport")]
    # Nor is a try to publish, as long as the public sees nothing of the mod.
    of_all = site.webhooks.add(OPERATOR, None, URL, events=["failed_validation"]).webhook.id
    tell(WebhookEvent.FAILED_VALIDATION, "fsport", "2.0.0", {"private": False})
    assert site.told() == [(mine, "failed_validation", "fsport")]
    with site.database.session() as session:
        session.get_one(Mod, "fsport").listed_id = session.scalars(select(Release.id)).first()
    tell(WebhookEvent.FAILED_VALIDATION, "fsport", "2.0.0", {"private": False})
    assert site.told() == [(mine, "failed_validation", "fsport"), (of_all, "failed_validation", "fsport")]


def test_a_release_that_is_refused_for_what_it_says_is_told_of(site: Site) -> None:
    mine = site.webhooks.add(OWNER, "fsport", URL).webhook.id
    refusal = Refused("name: wrong", reason="invalid name", errors=[{"path": "packages.0.name", "message": "\ud800"}])
    data: dict[str, Any] = {"id": "fsport", "version": "2.0.0\ud800", "title": ["no text"], "private": 1}
    site.webhooks.tell_refused(UPLOADER, data, refusal)
    (spec,) = site.engine.specs
    notice = spec.payload["notice"]
    assert (notice["version"], notice["title"], notice["user"]) == ("2.0.0?", "The fsport", "user3")
    assert notice["errors"] == [{"path": "packages.0.name", "message": "?"}]
    assert site.told() == [(mine, "failed_validation", "fsport")]
    # Clients learn by this refusal that a version is taken; others may not ask at all.
    for reason in ("duplicated version", "unauthorized"):
        site.webhooks.tell_refused(UPLOADER, data, Refused("no", reason=reason))
    site.webhooks.tell_refused(UPLOADER, {"id": "a\0"}, refusal)
    assert site.told() == []


def test_a_job_holds_neither_address_nor_secret_and_is_nobodys_but_its_webhooks(site: Site) -> None:
    made = [site.webhooks.add(OWNER, "fsport", URL) for _ in range(2)]
    site.webhooks.tell(WebhookEvent.RELEASE, "fsport", "1.0.0", {"user": "dora"}, occurrence="17")
    first, second = site.engine.specs
    assert "secret" not in first.model_dump_json()
    assert made[0].secret not in first.model_dump_json()
    assert (first.owner, second.owner) == (f"webhook:{made[0].webhook.id}", f"webhook:{made[1].webhook.id}")
    assert (first.retries, first.retry_delays_seconds) == (4, (10, 60, 300, 900))
    assert first.payload["notice"]["title"] == "The fsport"
    assert first.payload["notice"]["url"] == "https://knossos.example.org/mods/fsport/1.0.0"
    # Told again by a job that was run again: the same delivery. For another webhook or another time: another one.
    site.webhooks.tell(WebhookEvent.RELEASE, "fsport", "1.0.0", {}, occurrence="17")
    site.webhooks.tell(WebhookEvent.RELEASE, "fsport", "1.0.0", {}, occurrence="18")
    ids = [spec.payload["notice"]["delivery"] for spec in site.engine.specs]
    assert ids[:2] == ids[2:4]
    assert len(set(ids)) == 4


def test_a_receiver_can_check_the_signature_and_read_what_happened(site: Site, server: FileServer) -> None:
    url = server.handle("/hook", lambda request: Answer(204))
    secret = site.webhooks.add(OWNER, "fsport", url + "?key=1").secret
    errors = [{"path": "packages[0].files", "message": "a.7z is missing"}]
    site.webhooks.tell(WebhookEvent.FAILED_VALIDATION, "fsport", "2.0.0", {"errors": errors, "user": "dora"})
    context: Any = NotingContext(site.settings)
    assert deliver(context, site.engine.specs[0].payload) == {"delivered": True, "status": 204}
    (request,) = server.asked("/hook")
    assert (request.method, request.query) == ("POST", "key=1")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["X-Knossos-Event"] == "failed_validation"
    timestamp = request.headers["X-Knossos-Timestamp"]
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["X-Knossos-Signature-256"] == f"sha256={expected}"
    body = json.loads(request.body)
    assert type(body.pop("time")) is int
    assert body == {
        "event": "failed_validation",
        "mod": "fsport",
        "version": "2.0.0",
        "title": "The fsport",
        "url": "https://knossos.example.org/mods/fsport",
        "delivery": request.headers["X-Knossos-Delivery"],
        "user": "dora",
        "errors": errors,
    }
    assert "key=1" not in "".join(context.lines)
    (shown,) = site.webhooks.of_mod(OWNER, "fsport")
    assert shown.last_result == "accepted with status 204"
    assert shown.last_try_at is not None


def test_a_failed_try_tells_the_host_alone_and_one_that_is_gone_is_told_nothing_more(
    sending: Site, server: FileServer
) -> None:
    statuses = [500, 410]
    url = server.handle("/secret-path", lambda request: Answer(statuses.pop(0)))
    sending.webhooks.add(OWNER, "fsport", url + "?key=secret")
    number = sending.webhooks.of_mod(OWNER, "fsport")[0].id
    sending.webhooks.test(OWNER, number)
    payload = sending.engine.specs[0].payload
    context: Any = NotingContext(sending.settings)
    for status, retryable in ((500, True), (410, False)):
        with pytest.raises(DeliveryFailed) as caught:
            deliver(context, payload)
        assert (caught.value.status, caught.value.retryable) == (status, retryable)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        assert "secret" not in str(caught.value) + repr(caught.value.details) + "".join(context.lines)
    (shown,) = sending.webhooks.of_mod(OWNER, "fsport")
    assert shown.disabled_at is not None
    assert shown.last_result.startswith("127.0.0.1 answers 410")
    assert deliver(context, payload) == {"delivered": False}
    sending.told()
    sending.webhooks.tell(WebhookEvent.RELEASE, "fsport", "1.0.0", {})
    assert sending.told() == []
    # Whoever tries it switches it on again.
    sending.webhooks.test(MANAGER, number)
    assert sending.told() == [(number, "ping", "fsport")]
    assert sending.webhooks.of_mod(OWNER, "fsport")[0].disabled_at is None


def test_the_guard_holds_at_each_try_and_after_redirects(sending: Site, server: FileServer) -> None:
    context: Any = NotingContext(sending.settings)
    for url, retryable in (
        (server.redirect("/away", "http://169.254.169.254/secret", 307), False),
        (server.file("/silent", b"", always=Silent()), True),
    ):
        made = sending.webhooks.add(OWNER, "fsport", url)
        sending.webhooks.test(OWNER, made.webhook.id)
        with pytest.raises(DeliveryFailed) as caught:
            deliver(context, sending.engine.specs[-1].payload)
        assert caught.value.retryable is retryable
        assert "secret" not in caught.value.message
    closed: Any = NotingContext(sending.settings.model_copy(update={"allowed_private_networks": ()}))
    with pytest.raises(DeliveryFailed) as caught:
        deliver(closed, sending.engine.specs[-1].payload)
    assert caught.value.retryable is False
    assert len(server.asked("/silent")) == 1


def test_a_redirect_that_repeats_the_request_repeats_its_body(sending: Site, server: FileServer) -> None:
    server.handle("/there", lambda request: Answer(200))
    made = sending.webhooks.add(OWNER, "fsport", server.redirect("/hook", "/there", 308))
    sending.webhooks.test(OWNER, made.webhook.id)
    context: Any = NotingContext(sending.settings)
    deliver(context, sending.engine.specs[0].payload)
    (request,) = server.asked("/there")
    assert request.method == "POST"
    assert json.loads(request.body)["event"] == "ping"


def test_what_is_on_its_way_to_a_removed_webhook_reaches_no_later_one_of_the_same_number(
    sending: Site, server: FileServer
) -> None:
    url = server.handle("/hook", lambda request: Answer(200))
    made = sending.webhooks.add(OWNER, "hidden", url)
    sending.webhooks.test(OWNER, made.webhook.id)
    sending.webhooks.remove(OWNER, made.webhook.id)
    with sending.database.session() as session:
        session.add(
            Webhook(
                id=made.webhook.id, mod_id="fsport", url=url, secret="other", format="json",
                events="release", created_at=0,
            )
        )  # fmt: skip
    context: Any = NotingContext(sending.settings)
    assert deliver(context, sending.engine.specs[0].payload) == {"delivered": False}
    assert server.requests == []
