"""Every operation that our OpenAPI document describes, asked by schemathesis with what it allows and what it does not.

Where a field's name means something to the deployment (a ticket, a token), that is put in, so that a request gets past
the first check.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from fuzz.deployment import Deployment
from fuzz.http import asker
from fuzz.request_text import CALLERS
from fuzz.targets import Place
from knossos.web.openapi import document
from knossos.web.openapi.listing import groups

PLACE = Place.DEPLOYMENT

#: Requests of one operation before the next one has its turn.
AT_ONCE = 6
#: Where the requests go; the deployment has another port.
ADDRESS = "http://fuzz.invalid"
#: Headers that the template has itself, or that differ each time.
OWN_HEADERS = ("content-length", "host", "transfer-encoding", "x-schemathesis-testcaseid")
#: The boundary of a form, which requests chooses at random.
BOUNDARY = re.compile(rb"boundary=([0-9a-f]{32})")
#: What names of fields mean, wherever they stand; several are alternatives.
WORDS: dict[str, tuple[str, ...]] = {
    "ticket": ("{{ticket}}", "{{job}}"),
    "token": ("{{job_token}}", "{{drop_token}}"),
    "passwd": ("{{key}}",),
    "mid": ("alpha",),
    "mod_id": ("alpha",),
    "id": ("alpha", "{{part}}", "1"),
    "sha1": ("{{sha1}}",),
    "sha256": ("{{image}}",),
    "run_id": ("{{run}}",),
    "user": ("dora",),
    "username": ("dora",),
    "password": ("{{password}}",),
    "job_id": ("{{job}}",),
    "checksum": ("{{image}}", "{{part}}"),
    "version": ("1.2.0",),
    "call": ("echo.py",),
    "path": ("a.txt", "folder", "json", "{{run}}"),
    "made": ("{{drop_time}}",),
    "key": ("0",),
    "data": ("{{example}}",),
    "name": ("a.txt", "dora", "paul", "repo.json"),
    "number": ("1",),
    "size": ("17",),
    "parts": ("1",),
    "part": ("0",),
}


def inputs(random: Random) -> Iterator[bytes]:
    schema = schemathesis.openapi.from_dict(document(ADDRESS))
    known = [(one.method, one.path) for group in groups(document(ADDRESS)) for one in group.operations]
    while True:
        random.shuffle(known)
        for method, path in known:
            yield from some(random, schema[path][method])


def some(random: Random, operation: Any) -> list[bytes]:
    """A few requests of one operation, of both kinds: as it is described, and not."""
    found: list[bytes] = []
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @seed(random.getrandbits(64))
    @settings(
        max_examples=AT_ONCE,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def collect(case: Any) -> None:
        for values in (case.path_parameters, case.query, case.body):
            if isinstance(values, dict):
                named = [name for name in values if name in WORDS and random.random() < 0.7]
                values.update({name: random.choice(WORDS[name]) for name in named})
        request = as_bytes(random, case)
        if request:
            found.append(request)

    collect()
    return found


def as_bytes(random: Random, case: Any) -> bytes:
    """The request of a case; nothing where it cannot be written as one."""
    arguments = case.as_transport_kwargs(base_url=ADDRESS)
    wanted = {
        name: value
        for name, value in arguments.items()
        if name in ("method", "url", "headers", "params", "data", "json", "files")
    }
    try:
        request = requests.Request(**{**wanted, "cookies": case.cookies or None}).prepare()
    except (ValueError, UnicodeError, requests.RequestException):
        return b""
    address = (request.url or "").removeprefix(ADDRESS) or "/"
    lines = [
        f"{request.method} {address} HTTP/1.1",
        "Host: {{host}}",
        "Origin: http://{{host}}",
        random.choice(CALLERS),
    ]
    for name, value in request.headers.items():
        if name.lower() not in OWN_HEADERS:
            lines.append(f"{name}: {value.decode('latin-1') if isinstance(value, bytes) else value}")
    lines.append("Content-Length: {{length}}")
    head = "\r\n".join(line for line in lines if line).encode("latin-1", "replace")
    data = head + b"\r\n\r\n" + _body(request.body)
    # Braces were escaped; and what is random without our seed is not.
    data = data.replace(b"%7B%7B", b"{{").replace(b"%7D%7D", b"}}")
    boundary = BOUNDARY.search(head)
    return data.replace(boundary[1], b"edge") if boundary else data


def _body(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else b"".join(body or ())


def make(place: Deployment) -> Callable[[bytes], None]:
    return asker(place)
