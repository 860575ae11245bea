"""Whether all parts answer: both servers over HTTP, every worker in Redis."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterable

import redis
from rq import Worker

from knossos.jobs.connection import connect
from knossos.launch.processes import Child
from knossos.settings import Settings

#: Seconds that a server may take for its answer.
PROBE_SECONDS = 2.0


def address(listen: tuple[str, int]) -> str:
    """The HTTP address of a host and port."""
    host, port = listen
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def answers(listen: tuple[str, int], path: str) -> bool:
    """Whether the server there says at that path that it is well."""
    connection = http.client.HTTPConnection(*listen, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def redis_answers(url: str) -> bool:
    client = connect(url, 0)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def workers_registered(settings: Settings, workers: Iterable[Child]) -> bool:
    """Whether each of these has told Redis that it waits for tasks."""
    client = connect(settings.redis, 0)
    try:
        known = {(worker.hostname, worker.pid) for worker in Worker.all(connection=client)}
    except redis.RedisError:
        return False
    finally:
        client.close()
    return all((socket.gethostname(), worker.pid) in known for worker in workers)


def waiting_for(settings: Settings, workers: list[Child]) -> str | None:
    """The first part that is not ready yet. The servers, which log each request, are asked last."""
    if not workers_registered(settings, workers):
        return "the workers"
    if not answers(settings.ws_listen, "/health"):
        return "the WebSocket server"
    if not answers(settings.api_listen, "/api/health"):
        return "the HTTP server"
    return None
