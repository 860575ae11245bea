"""How a sane client talks to the server: patient where that does no harm, and never twice where it would.

A request that may be repeated is sent again while the server is away, says 503, or breaks the connection. Any other is
sent again only where the connection never came about; else nobody knows what became of it, which is `Unanswered`.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from chaos.deployment import PASSWORD, URL
from chaos.notebook import Notebook

#: Seconds for which a client tries, and between two tries.
PATIENCE_SECONDS, PAUSE_SECONDS = 90.0, 0.5
#: Seconds for a connection and for an answer.
TIMEOUTS = (5, 60)
#: Statuses of a server that will be well again.
AWAY = frozenset({500, 502, 503, 504})


class Unanswered(Exception):
    """Nobody knows whether the server has taken the request. ``status``: what it said instead of a yes or a no."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """One person, or program, with one connection at a time."""

    def __init__(
        self,
        notebook: Notebook,
        stopping: threading.Event,
        name: str = "",
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._patience_seconds = patience_seconds
        self.notebook = notebook
        self.stopping = stopping
        self.name = name
        self.session = requests.Session()
        self.session.trust_env = False
        self.token = ""

    def ask(self, method: str, path: str, *, repeat: bool, **sent: Any) -> requests.Response:
        """Send a request. ``repeat``: sending it twice does no harm. Raises Unanswered."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                answer = self.session.request(method, URL + path, timeout=TIMEOUTS, allow_redirects=False, **sent)
            except requests.RequestException as error:
                if isinstance(error, requests.ReadTimeout):
                    words = f"no answer within {TIMEOUTS[1]} seconds"
                    self.notebook.surprise(f"{method} {path.partition('?')[0]}: {words}")
                if not (repeat or _never_connected(error)):
                    raise Unanswered(f"{method} {path}: {type(error).__name__}") from error
            else:
                self._look_at(answer, method, path)
                if answer.status_code not in AWAY:
                    return answer
                if not repeat:
                    raise Unanswered(f"{method} {path}: {answer.status_code}", answer.status_code)
            if time.monotonic() > deadline:
                raise Unanswered(f"{method} {path}: the server stayed away")
            time.sleep(PAUSE_SECONDS)

    def _look_at(self, answer: requests.Response, method: str, path: str) -> None:
        """A server that something is missing for says 503; 500 is for what nobody foresaw."""
        if answer.status_code == 500:
            self.notebook.surprise(f"{method} {path.partition('?')[0]} answered 500: {answer.text[:200]}")

    def log_in(self) -> None:
        """Get the session's cookie, and a token of the mod managers. Raises Unanswered."""
        sent = {"username": self.name, "password": PASSWORD}
        answer = self.ask("POST", "/api/login", repeat=True, json=sent)
        if answer.status_code != 200:
            raise Unanswered(f"login: {answer.status_code} {answer.text[:200]}")
        form = {"user": self.name, "password": PASSWORD}
        self.token = str(self.ask("POST", "/api/1/login", repeat=True, data=form).json().get("token", ""))

    def as_person(self, method: str, path: str, *, repeat: bool, **sent: Any) -> requests.Response:
        """A request that needs a login; where that counts no longer it is made anew. Raises Unanswered."""
        for _ in range(3):
            headers = {"X-KN-TOKEN": self.token} if path.startswith("/api/1/") else {}
            answer = self.ask(method, path, repeat=repeat, headers=headers, **sent)
            if answer.status_code not in (401, 403):
                return answer
            self.log_in()
        raise Unanswered(f"{method} {path}: {answer.status_code} {answer.text[:200]}")


def _never_connected(error: requests.RequestException) -> bool:
    """Whether not a byte of the request can have arrived."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError)
