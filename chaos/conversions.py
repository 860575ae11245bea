"""Sites that have mods packaged: submit, be told by a webhook, watch."""

from __future__ import annotations

import json
import random

from chaos.clients import Client, Unanswered
from chaos.deployment import API_KEY
from chaos.elsewhere import Elsewhere
from chaos.notebook import Watch
from chaos.watchers import Watchers

#: How many of its conversions a program has on their way at once.
MOST_OPEN = 3
#: The version of each mod. A task is called after mod and version.
VERSION = "1.0.0"


class Converting:
    """One program that has mods packaged."""

    def __init__(
        self, client: Client, rng: random.Random, elsewhere: Elsewhere, watchers: Watchers, number: int
    ) -> None:  # fmt: skip
        self._client = client
        self._rng = rng
        self._elsewhere = elsewhere
        self._watchers = watchers
        self._number = number
        self._made = 0
        self._open: list[Watch] = []

    def one(self) -> None:
        """Submit one conversion, and have it watched, unless enough of them are on their way."""
        self._open = [watch for watch in self._open if not watch.ended]
        if len(self._open) >= MOST_OPEN:
            return
        self._made += 1
        name = f"mod-{self._number}-{self._made}"
        files = []
        sums = {}
        for part in range(self._rng.choice((1, 1, 2))):
            url, sha256 = self._elsewhere.offer(self._rng, f"{name}-{part}")
            files.append({"filename": f"{name}-{part}.zip", "urls": [url], "dest": f"part{part}"})
            sums[f"{name}-{part}.zip"] = sha256
        mod = {"id": name, "title": name, "version": VERSION, "packages": [{"name": "Core", "files": files}]}
        form = {"passwd": API_KEY, "data": json.dumps({"mods": [mod]}), "webhook": self._elsewhere.hook}
        notebook = self._client.notebook
        notebook.request("conversion")
        try:
            # Not repeated: the protocol has no way to say that it is the same one.
            answer = self._client.ask("POST", "/api/converter/request", repeat=False, data=form)
        except Unanswered as error:
            notebook.lose_answer("conversion", name, error.status, name=name, sums=sums)
            return
        content = answer.json() if answer.status_code == 200 else {}
        if not content.get("ticket"):
            notebook.surprise(f"conversion refused: {answer.status_code} {answer.text[:300]}")
            return
        ticket, token = int(content["ticket"]), str(content["token"])
        notebook.accept("conversion", str(ticket), name=name, token=token, sums=sums)
        for _ in range(self._rng.choice((1, 1, 2))):
            self._open.append(self._watchers.watch(ticket, token=token))
