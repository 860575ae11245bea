"""People who run scripts of their own. Each script leaves a mark in its home when it begins and when it ends."""

from __future__ import annotations

import random

from chaos.clients import Client, Unanswered
from chaos.notebook import Watch
from chaos.watchers import Watchers

#: How many scripts one person has on their way at once.
MOST_OPEN = 3
#: The folder of the marks in each home; a file for each script.
MARKS = "ran"
#: What a script marks and says. The file is what counts how often it ran, outside of the engine; the first line becomes
#: the title of its task.
SCRIPT = """\
# {name}
mkdir -p {marks}
echo begin >> {marks}/{name}
for line in $(seq {lines}); do echo "line $line"; sleep {pause}; done
echo end >> {marks}/{name}
"""


def title_of(name: str) -> str:
    """What the task of a script is called."""
    return f"# {name}"


def output_of(lines: int) -> str:
    """What a script of so many lines writes."""
    return "".join(f"line {number}\n" for number in range(1, lines + 1))


class Scripting:
    """One person."""

    def __init__(self, client: Client, rng: random.Random, watchers: Watchers) -> None:
        self._client = client
        self._rng = rng
        self._watchers = watchers
        self._made = 0
        self._open: list[Watch] = []

    def one(self) -> None:
        """Send one script, and have it watched, unless enough of them are on their way."""
        client, notebook = self._client, self._client.notebook
        self._open = [watch for watch in self._open if not watch.ended]
        if len(self._open) >= MOST_OPEN:
            return
        if not client.token:
            client.log_in()
        self._made += 1
        name, lines = f"{client.name}-{self._made}", self._rng.randrange(1, 12)
        script = SCRIPT.format(marks=MARKS, name=name, lines=lines, pause=self._rng.choice((0.05, 0.2, 0.5)))
        notebook.request("script")
        try:
            # Not repeated: a script may do anything, and must not run twice.
            answer = client.as_person("POST", "/api/run", repeat=False, data=script.encode())
        except Unanswered as error:
            notebook.lose_answer("script", name, error.status, name=name, owner=client.name, lines=lines)
            return
        if answer.status_code == 429:
            notebook.refuse("script", "429")
            client.stopping.wait(3)
            return
        if answer.status_code != 200:
            notebook.surprise(f"script refused: {answer.status_code} {answer.text[:300]}")
            return
        ticket = int(answer.json()["job_id"])
        notebook.accept("script", str(ticket), name=name, owner=client.name, lines=lines)
        self._open.append(self._watchers.watch(ticket, cookie=client.session.cookies.get("SessionToken") or ""))
        client.stopping.wait(self._rng.choice((0.5, 1.0, 3.0)))
