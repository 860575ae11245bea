"""Whole conversions: a mutated archive is downloaded, looked into and mirrored by a worker, as a description that is
nearly right asks for it.

An input is the description, a line end, the archive's name, a line end, and the archive.
"""

from __future__ import annotations

import functools
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import requests

from fuzz.crashes import Broken, CrashKind
from fuzz.deployment import Deployment
from fuzz.http import check
from fuzz.mutation import mutated_json
from fuzz.targets import Place, archives, descriptions
from fuzz.wire import Answer
from tests.support.site import API_KEY

PLACE = Place.DEPLOYMENT

#: Seconds in which a conversion has to have an outcome.
OUTCOME_SECONDS = 60.0
#: What stands for the address of the archive.
LINK = "http://archive.invalid/a"


def inputs(random: Random) -> Iterator[bytes]:
    for archive in archives.inputs(random):
        name, _, data = archive.partition(b"\n")
        whole = _described(name.decode(), data)
        document = mutated_json(random, whole, most=2) if random.random() < 0.6 else whole
        yield json.dumps(document).encode() + b"\n" + name + b"\n" + data


def _described(name: str, data: bytes) -> dict[str, Any]:
    mod = json.loads(json.dumps(descriptions.WHOLE["mods"][0]))
    mod["logo"] = None
    mod["packages"][0]["files"] = [
        {
            "filename": name,
            "is_archive": True,
            "dest": "",
            "urls": [LINK],
            "checksum": ["sha256", hashlib.sha256(data).hexdigest()],
        }
    ]
    mod["packages"][0]["filelist"] = []
    mod["actions"] = mod["actions"][: len(data) % 5]
    return {"mods": [mod]}


class _Shelf(BaseHTTPRequestHandler):
    """Gives the archive to whoever asks."""

    def __init__(self, content: dict[str, bytes], *arguments: Any) -> None:
        self._content = content
        super().__init__(*arguments)

    def do_GET(self) -> None:
        data = self._content["archive"]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


def make(place: Deployment) -> Callable[[bytes], None]:
    content: dict[str, bytes] = {}
    shelf = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Shelf, content))
    threading.Thread(target=shelf.serve_forever, daemon=True).start()
    place.at_end(lambda: (shelf.shutdown(), shelf.server_close()))
    link = f"http://127.0.0.1:{shelf.server_address[1]}/archive"

    def take(data: bytes) -> None:
        description, name, content["archive"] = data.split(b"\n", 2)
        text = description.decode().replace(LINK, f"{link}/{name.decode()}")
        asked = _ask(place, "/api/converter/request", passwd=API_KEY, data=text, webhook="")
        if not asked.get("ticket"):
            return
        until = time.monotonic() + OUTCOME_SECONDS
        while not _ask(place, "/api/converter/retrieve", ticket=asked["ticket"], token=asked["token"]).get("finished"):
            if time.monotonic() > until:
                raise Broken(CrashKind.HANG, "the conversion has no outcome in time")
            place.check()
            time.sleep(0.02)

    return take


def _ask(place: Deployment, path: str, **fields: str) -> dict[str, Any]:
    answer = requests.post(f"{place.site.url}{path}", data=fields, timeout=OUTCOME_SECONDS)
    check(Answer(answer.status_code, answer.content), place.secrets)
    found: dict[str, Any] = answer.json()
    return found
