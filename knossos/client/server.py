"""The server's HTTP interface as the client uses it (protocol of the converter). Blocks; shows nothing.

What always holds: a request that changes nothing is tried again for a while when the connection fails, one that starts
a task never is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from knossos.client.errors import TaskFailed, Unreachable
from knossos.errors import AccessDenied, InvalidInput

#: Seconds for a connection and for an answer.
TIMEOUTS = (10, 60)
#: Port of a WebSocket server that nobody told us about.
USUAL_WEBSOCKET_PORT = 8085


@dataclass(frozen=True)
class Task:
    """A task on the server, and what opens it."""

    ticket: int
    token: str


class Server:
    """A Knossos server at ``url``. ``patience_seconds``: how long it may be away before that is an error."""

    def __init__(self, url: str, patience_seconds: float = 60) -> None:
        self.url = url.rstrip("/")
        self._patience = patience_seconds
        self._session = requests.Session()

    def close(self) -> None:
        self._session.close()

    def submit(self, description: str, key: str, webhook: str) -> Task:
        """Have a mod packaged.

        Raises:
            AccessDenied: the server does not know the key.
            InvalidInput: the description breaks a rule; ``errors`` say where.
        """
        form = {"passwd": key, "data": description, **({"webhook": webhook} if webhook else {})}
        answer = self._send("POST", "/api/converter/request", form)
        if answer.status_code == 403:
            missing = "The server asks for an API key: give one with --key, or in the variable KNOSSOS_API_KEY."
            raise AccessDenied("The server does not accept this API key." if key else missing)
        content = _object(answer)
        if answer.status_code >= 400 or content.get("error") or not isinstance(content.get("ticket"), int):
            message = str(content.get("message") or f"the server refuses it (status {answer.status_code})")
            raise InvalidInput(message, errors=[e for e in content.get("errors") or [] if isinstance(e, dict)])
        return Task(content["ticket"], str(content.get("token", "")))

    def state(self, task: Task) -> str:
        """Return WAITING, WORKING or DONE."""
        answer = self._ask("GET", f"/api/converter/get_status/{task.ticket}", {"token": task.token})
        if answer.status_code in (403, 404):
            raise denied(task)
        return str(_object(answer).get("state"))

    def retrieve(self, task: Task) -> str | None:
        """Return the repository JSON; None while the task is not finished.

        Raises:
            TaskFailed: there is none, and there will be none.
        """
        answer = self._ask("POST", "/api/converter/retrieve", {"ticket": str(task.ticket), "token": task.token})
        if answer.status_code in (403, 404):
            raise denied(task)
        content = _object(answer)
        if not content.get("finished"):
            return None
        if content.get("success") and isinstance(content.get("json"), str):
            return str(content["json"])
        if content.get("found") is False:
            raise TaskFailed(f"The server has no result of task {task.ticket} (any more).", ticket=task.ticket)
        raise TaskFailed(f"Task {task.ticket} has failed.", ticket=task.ticket)

    def websocket_urls(self) -> list[str]:
        """Return where the WebSocket server may be, the likeliest first."""
        try:
            told = _object(self._send("GET", "/api/info", {})).get("ws_url")
        except Unreachable:
            told = None
        parts = urlsplit(self.url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
        same_port = urlunsplit((scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        guesses = [f"{scheme}://{host}:{USUAL_WEBSOCKET_PORT}", same_port]
        return [told.rstrip("/")] if isinstance(told, str) and told.startswith(("ws://", "wss://")) else guesses

    def _ask(self, method: str, path: str, fields: dict[str, str]) -> requests.Response:
        """Send a request that changes nothing, again and again while the server is away."""
        until = time.monotonic() + self._patience
        pause = 0.25
        while True:
            try:
                return self._send(method, path, fields)
            except Unreachable:
                if time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause = min(pause * 2, 5)

    def _send(self, method: str, path: str, fields: dict[str, str]) -> requests.Response:
        query, form = (fields, None) if method == "GET" else (None, fields)
        try:
            answer = self._session.request(
                method, self.url + path, params=query, data=form, timeout=TIMEOUTS, allow_redirects=False
            )
        except requests.exceptions.InvalidURL as error:
            raise InvalidInput(f"--server: {self.url} is no address of a server") from error
        except requests.exceptions.RequestException as error:
            raise Unreachable(f"{self.url} does not answer: {_reason(error)}", url=self.url) from error
        if answer.status_code >= 500:
            raise Unreachable(f"{self.url} is out of order (status {answer.status_code})", url=self.url)
        return answer


def denied(task: Task) -> AccessDenied:
    """The error for a task that is not there for us."""
    return AccessDenied(f"There is no task {task.ticket}, or the token does not open it.", ticket=task.ticket)


def _object(answer: requests.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except requests.exceptions.JSONDecodeError:
        content = None
    if isinstance(content, dict):
        return content
    if 400 <= answer.status_code < 500 and answer.status_code != 404:
        # A refusal in plain words, such as a body that is too large.
        return {"error": True, "message": f"The server refuses it: {answer.reason} ({answer.status_code})"}
    message = f"{answer.url} does not answer as a Knossos server does (status {answer.status_code})"
    raise Unreachable(message, url=answer.url)


def _reason(error: BaseException) -> str:
    """The innermost cause, which is what says something: requests wraps it several times."""
    inner: BaseException = error
    while (inner.__cause__ or inner.__context__) is not None:
        inner = inner.__cause__ or inner.__context__ or inner
    return str(inner) or type(inner).__name__
