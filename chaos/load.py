"""The load: people and programs that package, publish and run scripts, and watch, until they are told to stop."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from chaos.clients import Client, Unanswered
from chaos.conversions import Converting
from chaos.elsewhere import Elsewhere
from chaos.notebook import Notebook
from chaos.publishing import Publishing
from chaos.scripts import Scripting
from chaos.watchers import Watchers

#: How many do what at once.
CONVERTERS, AUTHORS, SCRIPTERS = 3, 2, 3
#: Everybody who needs an account.
PEOPLE = [f"author-{number}" for number in range(AUTHORS)] + [f"scripter-{number}" for number in range(SCRIPTERS)]


class Load:
    """Begins with `start`; `stop` lets everybody end what they are at."""

    def __init__(self, seed: int, notebook: Notebook, elsewhere: Elsewhere) -> None:
        self._seed = seed
        self._notebook = notebook
        self._elsewhere = elsewhere
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self.watchers = Watchers(notebook, random.Random(f"{seed} watchers"))

    def start(self) -> None:
        self.watchers.start()
        for number in range(CONVERTERS):
            client = Client(self._notebook, self._stopping)
            rng = random.Random(f"{self._seed} converter {number}")
            self._begin(f"converter-{number}", Converting(client, rng, self._elsewhere, self.watchers, number).one)
        for name in PEOPLE:
            client = Client(self._notebook, self._stopping, name)
            rng = random.Random(f"{self._seed} {name}")
            if name.startswith("author"):
                self._begin(name, Publishing(client, rng, self._elsewhere).one)
            else:
                self._begin(name, Scripting(client, rng, self.watchers).one)

    def stop(self, seconds: float) -> None:
        """Nobody begins anything any more; wait for what they are at, so many seconds for all of them together."""
        self._stopping.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self._notebook.surprise(f"{thread.name} still waits for an answer, {seconds:.0f} seconds after the end")

    def _begin(self, name: str, one: Callable[[], None]) -> None:
        thread = threading.Thread(target=self._work, args=(name, one), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self, name: str, one: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                one()
            except Unanswered as error:
                self._notebook.refuse(name.partition("-")[0], str(error)[:100])
            except Exception as error:  # a client that breaks is a finding, and must not pass for one that is idle
                self._notebook.surprise(f"{name} broke: {type(error).__name__}: {error}")
            self._stopping.wait(0.3)
