"""The WebSocket server: the application, and its life from the first bound port to the last closed socket."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import ProcessCollector
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from knossos.database import Database
from knossos.errors import SettingsError
from knossos.jobs import Engine, counts
from knossos.jobs.connection import ping
from knossos.live import garbage
from knossos.live.doorkeeper import Doorkeeper
from knossos.live.handlers import (
    HealthHandler,
    InteractiveHandler,
    Live,
    MetricsHandler,
    NotFoundHandler,
    ReadyHandler,
    WatcherHandler,
)
from knossos.live.hub import Hub
from knossos.live.watching import Watching
from knossos.operating.collector import registry
from knossos.operating.readiness import Asker, Parts
from knossos.scripting.credentials import Credentials, credentials_of
from knossos.settings import Settings

log = logging.getLogger(__name__)

#: Seconds between pings, and for which a pong may take; a client that is silent for longer is gone.
PING_SECONDS = 5
#: Largest message that a client may send, in bytes.
MOST_MESSAGE_BYTES = 64 * 1024
#: Connections that may wait to be accepted: thousands of watchers may come back at once after a restart.
BACKLOG = 4096
#: Threads for blocking calls: to the engine (answers and cancels of users) and to the database (who they are).
THREADS = 4
#: Seconds that clients have to close their side when the server stops.
CLOSING_SECONDS = 2.0


def make_application(settings: Settings, hub: Hub, engine: Engine, credentials: Credentials) -> Application:
    """Build the Tornado application. The hub must be run beside it."""
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="live")
    live = Live(
        settings=settings,
        hub=hub,
        doorkeeper=Doorkeeper(settings, credentials, hub.ask, threads),
        engine=engine,
        threads=threads,
        readiness=Asker(Parts(settings).of_sockets()),
        figures=registry(Watching(hub), ProcessCollector(registry=None)),
    )
    routes: list[Any] = [
        (r"/ws/watcher/([^/]*)", WatcherHandler, {"live": live}),
        (r"/ws/inter/([^/]*)", InteractiveHandler, {"live": live}),
        (r"/health", HealthHandler, {"live": live}),
        (r"/ready", ReadyHandler, {"live": live}),
        (r"/metrics", MetricsHandler, {"live": live}),
    ]
    return Application(
        routes,
        default_handler_class=NotFoundHandler,
        default_handler_args={"live": live},
        websocket_ping_interval=PING_SECONDS,
        websocket_ping_timeout=PING_SECONDS,
        websocket_max_message_size=MOST_MESSAGE_BYTES,
        log_function=_log_request,
    )


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        SettingsError: the address in WS_LISTEN cannot be had.
        MissingDependency: Redis does not answer.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _raise_file_limit()
    sockets = _bind(settings)
    await asyncio.to_thread(ping, settings.redis)
    hub = Hub(settings.redis)
    engine = counts.delivering(Engine(settings))
    application = make_application(settings, hub, engine, credentials_of(settings, Database(settings), engine))
    server = HTTPServer(application, xheaders=settings.trusted_proxies > 0, max_body_size=MOST_MESSAGE_BYTES)
    collecting = asyncio.create_task(garbage.collect())
    following = asyncio.create_task(hub.run())
    following.add_done_callback(lambda _: stop.set())
    server.add_sockets(sockets)
    log.info("the WebSocket server listens on %s", ", ".join(_shown(one) for one in sockets))
    await stop.wait()
    server.stop()
    if following.done():
        # The hub never ends by itself: raise what ended it.
        following.result()
    log.info("the WebSocket server stops; %d watchers are sent away", hub.watchers)
    hub.close()
    until = loop.time() + CLOSING_SECONDS
    while hub.watchers and loop.time() < until:
        await asyncio.sleep(0.02)
    for task in (following, collecting):
        task.cancel()
    await asyncio.wait([following, collecting])


def _bind(settings: Settings) -> list[socket.socket]:
    host, port = settings.ws_listen
    try:
        return bind_sockets(port, host, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"WS_LISTEN: {host}:{port} cannot be used: {reason}; expected a free address of this machine"
        raise SettingsError(message, setting="WS_LISTEN") from error


def _shown(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"{host}:{port}"


def _raise_file_limit() -> None:
    """Let as many sockets be open as the system allows us: the usual soft limit of 1,024 is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        wanted = 65536 if hard == resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _log_request(handler: RequestHandler) -> None:
    """Note a request without its query, which may hold a token."""
    log.debug("%s %s: %d", handler.request.method, handler.request.path, handler.get_status())
