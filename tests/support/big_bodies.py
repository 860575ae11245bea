"""Big bodies that are refused before they are read, and what each refusal has to say; directly and behind nginx."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

#: More than any buffer on the way holds.
BODY = b"x" * (60 * 1024 * 1024)


def drop_path(key: str, age: int = 0) -> str:
    """A signed link that was made some seconds ago."""
    made = int(time.time()) - age
    return f"/drop/{made}/{hashlib.sha256(f'{key}{made}'.encode()).hexdigest()}/0"


@dataclass(frozen=True)
class Refusal:
    path: Callable[[str], str]
    body: Callable[[str], dict[str, Any]]
    status: int
    #: What the answer says, and whether it is a drop's, which has the CORS headers.
    text: str
    cors: bool = True


def _upload(name: str) -> Callable[[str], dict[str, Any]]:
    return lambda key: {"files": {"file": (name, BODY)}}


REFUSALS = {
    "description": Refusal(
        lambda key: "/api/converter/request",
        lambda key: {"data": {"passwd": key, "data": BODY}},
        413,
        "MAX_DESCRIPTION_BYTES",
        cors=False,
    ),
    "bad token": Refusal(lambda key: f"/drop/{int(time.time())}/{'0' * 64}/0", _upload("a.zip"), 403, "Access denied"),
    "too late": Refusal(lambda key: drop_path(key, 1900), _upload("a.zip"), 200, "You took too long to upload!"),
    "another extension": Refusal(drop_path, _upload("a.exe"), 200, "Invalid filename!"),
    "nothing there": Refusal(lambda key: "/api/nothing", _upload("a.zip"), 404, "error", cors=False),
}


def check_refusal(case: str, base: str, key: str) -> None:
    """Send it, and hold the answer against what the protocol says."""
    refusal = REFUSALS[case]
    answer = requests.post(base + refusal.path(key), timeout=60, **refusal.body(key))
    assert (answer.status_code, refusal.text in answer.text) == (refusal.status, True), answer.text[:300]
    if refusal.status != 403:
        assert answer.json()["error"] is True
    if refusal.cors:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
