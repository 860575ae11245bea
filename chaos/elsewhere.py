"""What lies outside of the deployment: a site with archives, and the addresses that webhooks tell."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections import Counter

from chaos.hosts import NEAR_ADDRESS
from tests.support.archives import zip_of
from tests.support.file_server import Answer, Drip, FileServer, Request


def archive_of(rng: random.Random, name: str) -> tuple[bytes, dict[str, bytes]]:
    """A zip that no other one equals, and what is in it."""
    files = {
        "mod.ini": f"[launcher]\nname = {name}\n".encode(),
        "data/tables/ships.tbm": rng.randbytes(200) * 100,
        "data/maps/hull.dds": rng.randbytes(rng.randrange(20_000, 300_000)),
    }
    return zip_of(files), files


class Elsewhere:
    """A site on the first host's address, from which both hosts download."""

    def __init__(self) -> None:
        self._server = FileServer(host=NEAR_ADDRESS)
        self._lock = threading.Lock()
        #: How often each ticket was told of, and each delivery of a release's webhook, and what that was about.
        self.told: Counter[int] = Counter()
        self.deliveries: dict[str, tuple[str, str, str]] = {}
        self.hook = self._server.handle("/hook", self._take_hook)
        self.release_hook = self._server.handle("/release-hook", self._take_release)

    def offer(self, rng: random.Random, name: str) -> tuple[str, str]:
        """Put an archive on the site; its address and its SHA-256. Some come slowly."""
        data, _ = archive_of(rng, name)
        pause = rng.choice((0.0, 0.05, 0.2))
        always = Drip(piece=max(1, len(data) // 20), pause=pause) if pause else None
        url = self._server.file(f"/{name}.zip", data, always=always)
        return url, hashlib.sha256(data).hexdigest()

    def _take_hook(self, request: Request) -> Answer:
        with self._lock:
            self.told[int(request.form["ticket"])] += 1
        return Answer(200, {"Content-Type": "application/json"}, b"{}")

    def _take_release(self, request: Request) -> Answer:
        sent = json.loads(request.body)
        with self._lock:
            about = (str(sent.get("event")), str(sent.get("mod")), str(sent.get("version")))
            self.deliveries[str(request.headers["X-Knossos-Delivery"])] = about
        return Answer(204)

    def close(self) -> None:
        self._server.close()
