"""The Tornado handlers: they parse, call the hub or the engine, and answer.

What always holds: nothing that a client sends raises, a job's token never gets into the log, and ``open`` returns
at once, so that pings are answered while a long log is replayed.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry
from redis.exceptions import RedisError
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler
from tornado.websocket import WebSocketHandler

from knossos import tracing
from knossos.accounts import COOKIE_NAME
from knossos.errors import KnossosError
from knossos.jobs import Engine, overview
from knossos.jobs.records import JobRecord
from knossos.jobs.states import JobState
from knossos.live.client_messages import Answer, Cancel, UserReady, parse_client_message
from knossos.live.doorkeeper import Admission, Doorkeeper, bearer_of, parse_ticket
from knossos.live.hub import Hub, say_missing
from knossos.live.messages import BEGINNING, Style, is_event_id
from knossos.live.origins import may_connect
from knossos.live.watcher import CLOSE_BAD_DATA, CLOSE_CRASHED, CLOSE_NOT_TEXT, Watcher
from knossos.operating.readiness import Asker
from knossos.operating.reading import may_read_figures
from knossos.settings import Settings

log = logging.getLogger(__name__)

#: Seconds after which /health takes Redis for gone.
HEALTH_SECONDS = 2.0


@dataclass(frozen=True)
class Live:
    """What the handlers work with."""

    settings: Settings
    hub: Hub
    doorkeeper: Doorkeeper
    engine: Engine
    #: Runs the engine's calls.
    threads: Executor
    #: What /ready asks, and what /metrics shows.
    readiness: Asker
    figures: CollectorRegistry


class Quiet(RequestHandler):
    """Keeps addresses out of the log, which may hold tokens, and answers errors with JSON."""

    def initialize(self, live: Live) -> None:
        self.live = live

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        if not isinstance(value, HTTPError):
            log.error("%s %s failed", self.request.method, self.request.path, exc_info=(typ, value, tb))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        reason = error.log_message if isinstance(error, HTTPError) else None
        self.finish({"error": True, "message": reason or self._reason})


class NotFoundHandler(Quiet):
    """Every other address."""

    def prepare(self) -> None:
        raise HTTPError(404, "There is nothing here.")


class HealthHandler(Quiet):
    """``GET /health`` for those who watch over the process."""

    async def get(self) -> None:
        try:
            await asyncio.wait_for(self.live.hub.ask("PING"), HEALTH_SECONDS)
        except (TimeoutError, RedisError):
            self.set_status(503)
            self.finish({"status": "redis does not answer", "watchers": self.live.hub.watchers})
            return
        self.finish({"status": "ok", "watchers": self.live.hub.watchers})


class ReadyHandler(Quiet):
    """``GET /ready``: whether this process can do its work, and which part is missing where it cannot."""

    async def get(self) -> None:
        found = await asyncio.get_running_loop().run_in_executor(None, self.live.readiness.ask)
        self.set_header("Cache-Control", "no-store")
        self.set_status(200 if found.ready else 503)
        self.finish(found.as_dict())


class MetricsHandler(Quiet):
    """``GET /metrics``: the figures of this process alone, for Prometheus; the HTTP server has all others."""

    async def get(self) -> None:
        headers = self.request.headers
        allowed = may_read_figures(
            self.live.settings,
            address=self.request.remote_ip or "",
            forwarded=any(name in headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-Ip")),
            authorization=headers.get("Authorization", ""),
        )
        if not allowed:
            raise HTTPError(403, "The figures are for this machine itself, and for whoever has METRICS_TOKEN.")
        encode, content_type = choose_encoder(headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(encode(self.live.figures))


class WatcherHandler(Quiet, WebSocketHandler):
    """``/ws/watcher/<ticket>``: reads the events of a job. It is the ``Socket`` of its watcher."""

    watcher: Watcher | None = None
    #: Of the connection; the log's lines about it have it, and the id of the request that submitted the job.
    request_id: str = ""
    _job_request: str | None = None
    _work: asyncio.Task[None] | None = None
    _token: str | None = None
    _after: str | None = None

    def prepare(self) -> None:
        headers = self.request.headers
        given = headers.get("X-Request-Id") if self.live.settings.trusted_proxies else None
        self.request_id = tracing.taken_or_made(given)
        self.set_header("X-Request-ID", self.request_id)
        if not may_connect(headers.get("Origin"), self.request.host, self.live.settings, self.request.protocol):
            raise HTTPError(403, "Pages of this origin may not connect; see ALLOWED_ORIGINS.")
        self._token = self.get_query_argument("token", None)
        self._after = self.get_query_argument("after", None)
        if self._after is not None and not is_event_id(self._after):
            raise HTTPError(400, "after: expected the id of an event, such as 1700000000000-0")

    def check_origin(self, origin: str) -> bool:
        return True  # prepare() has decided

    def open(self, ticket: str) -> None:
        self.set_nodelay(True)
        style = Style.OLD if self._after is None else Style.NEW
        number = parse_ticket(ticket)
        self.watcher = Watcher(self, number or 0, style, self._after or BEGINNING)
        self.live.hub.welcome(self.watcher)
        log.debug("a watcher connects", extra=self._about(number))
        if number is None:
            self.decided(None)
            say_missing(self.watcher)
        else:
            self._work = asyncio.get_running_loop().create_task(self._watch(self.watcher))

    async def _watch(self, watcher: Watcher) -> None:
        try:
            admission = await self._admit(watcher)
            self.decided(admission)
            if admission is None:
                say_missing(watcher)
                return
            self._job_request = admission.record.request or None
            log.debug("a watcher is let in", extra=self._about(watcher.ticket))
            if admission.record.state is JobState.QUEUED:
                watcher.tell("log_message", f"INFO: {await self._waiting(admission.record)}")
            await self.live.hub.join(watcher)
            if admission.record.state.finished:
                watcher.close_soon()
        except StreamClosedError:
            pass  # it has left while it was catching up; on_close does the rest
        except Exception:
            log.exception("watching failed", extra=self._about(watcher.ticket))
            self.decided(None)
            watcher.close(CLOSE_CRASHED, "the server failed; its log says why")

    async def _admit(self, watcher: Watcher) -> Admission | None:
        bearer = bearer_of(self.request.headers.get("Authorization"))
        return await self.live.doorkeeper.admit(watcher.ticket, self._token, self.get_cookie(COOKIE_NAME), bearer)

    def _about(self, ticket: int | None) -> dict[str, object]:
        """What a line of the log says of this connection."""
        return {"ticket": ticket, "request": self.request_id, "job_request": self._job_request}

    async def _waiting(self, record: JobRecord) -> str:
        """Say what a queued job waits for."""
        live, loop = self.live, asyncio.get_running_loop()
        if reason := await loop.run_in_executor(live.threads, overview.held_up, live.engine, record.queue):
            return f"The task is queued. {reason}"
        before = await loop.run_in_executor(live.threads, live.engine.position, record.ticket, record.queue)
        if not before:
            return "The task is queued and will start soon."
        return f"The task is queued; {before} {'task is' if before == 1 else 'tasks are'} before it."

    def decided(self, admission: Admission | None) -> None:
        """It is known whether the client may watch."""

    def on_message(self, message: str | bytes) -> None:
        """A reader has nothing to say; what it says must have the form nevertheless."""
        self.read(message)

    def read(self, message: str | bytes) -> Any:
        """Parse a message; close the socket and return None when it is none."""
        if self.watcher is None:
            return None
        if isinstance(message, bytes):
            self.watcher.close(CLOSE_NOT_TEXT, "expected text")
            return None
        try:
            return parse_client_message(message)
        except ValueError as error:
            self.watcher.close(CLOSE_BAD_DATA, str(error))
            return None

    def on_close(self) -> None:
        if self._work is not None:
            self._work.cancel()
        if self.watcher is not None:
            self.live.hub.leave(self.watcher)
            log.debug("a watcher has left", extra={**self._about(self.watcher.ticket), "code": self.close_code})

    def write_frames(self, data: bytes) -> asyncio.Future[None] | None:
        """Send frames as they are. ``write_message`` would encode and wrap them again for every watcher."""
        connection = self.ws_connection
        if connection is None or connection.is_closing() or connection.stream is None:
            return None
        try:
            return connection.stream.write(data)
        except StreamClosedError:
            return None


class InteractiveHandler(WatcherHandler):
    """``/ws/inter/<ticket>``: also answers questions and cancels."""

    def initialize(self, live: Live) -> None:
        super().initialize(live)
        self._admission: Admission | None = None
        self._decided = asyncio.Event()

    def decided(self, admission: Admission | None) -> None:
        self._admission = admission
        self._decided.set()

    def on_close(self) -> None:
        self._decided.set()
        super().on_close()

    async def on_message(self, message: str | bytes) -> None:  # type: ignore[override]
        said, watcher = self.read(message), self.watcher
        if said is None or watcher is None or isinstance(said, UserReady):
            return
        await self._decided.wait()
        if self._admission is None:
            return
        # Whoever has logged out meanwhile, or may not any more, goes on reading at most.
        try:
            admission = await self._admit(watcher)
        except (KnossosError, RedisError, OSError) as error:
            self._sorry(watcher, error)
            return
        match said:
            case _ if admission is None:
                watcher.tell("log_message", "ERROR: You may not do that any more. Log in, and open the page again.")
            case Answer() if not admission.may_answer:
                watcher.tell("log_message", "ERROR: This token was given for looking only; it answers no question.")
            case Answer(text):
                question = self.live.hub.question(watcher.ticket)
                if not await self._call(watcher, self.live.engine.answer, text, question):
                    watcher.tell("log_message", "WARNING: No question is open.")
            case Cancel() if not admission.may_cancel:
                watcher.tell("log_message", "ERROR: Only those who have the task's token may cancel it.")
            case Cancel():
                if not await self._call(watcher, self.live.engine.cancel, "Cancelled by somebody who watched it."):
                    watcher.tell("log_message", "WARNING: The task has ended already.")

    async def _call(self, watcher: Watcher, function: Any, *arguments: Any) -> bool:
        """Call the engine in a thread; the next message of this client waits for it."""
        loop = asyncio.get_running_loop()
        try:
            return bool(await loop.run_in_executor(self.live.threads, function, watcher.ticket, *arguments))
        except (KnossosError, RedisError, OSError) as error:
            self._sorry(watcher, error)
            return True

    def _sorry(self, watcher: Watcher, error: Exception) -> None:
        log.warning("a watcher's wish failed: %s", error, extra=self._about(watcher.ticket))
        watcher.tell("log_message", "ERROR: That could not be done; try again in a moment.")
