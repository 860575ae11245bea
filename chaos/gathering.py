"""Finding out what became of everything that was accepted: over HTTP as its owners would, and behind the server's back.

Asks and reads only; what it means is `judge.py`'s to say.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any, cast
from urllib.parse import unquote

import requests
from sqlalchemy import text

from chaos.clients import Client
from chaos.conversions import VERSION
from chaos.deployment import URL, Deployment
from chaos.elsewhere import Elsewhere
from chaos.judge import Fate, LogEntry, lacks_of_webhook
from chaos.notebook import Accepted, Notebook
from chaos.scripts import MARKS, output_of, title_of
from knossos.database import Database
from knossos.jobs import Engine, JobNotFound, JobRecord, keys, pauses
from knossos.storage import Storage, blob_key

#: Seconds for one answer of the server that has nothing else to do any more.
ANSWER_SECONDS = 15
#: Kinds of tasks that are found by their title.
WITH_TITLE = frozenset({"conversion", "home"})
#: What the API of scripts calls the ends that the engine knows.
SCRIPT_ENDS = {"succeeded": "done", "failed": "failed", "cancelled": "failed"}


class Gathering:
    """All that can be found out about a deployment that has come to rest."""

    def __init__(
        self, deployment: Deployment, notebook: Notebook, elsewhere: Elsewhere, people: dict[str, Client]
    ) -> None:
        self._deployment = deployment
        self._notebook = notebook
        self._elsewhere = elsewhere
        self._people = people
        self.engine = Engine(deployment.settings, patience_seconds=30)
        self.database = Database(deployment.settings)
        self.storage = Storage(deployment.settings)
        self._http = requests.Session()
        self._http.trust_env = False

    def close(self) -> None:
        self.database.close()
        self.engine.redis.close()

    def looks(self) -> Iterator[tuple[str, Callable[[], Fate]]]:
        """Of each request, and of each that may have been accepted, its name and what finds out its fate."""
        for one in self._notebook.accepted:
            yield f"{one.kind} {one.key}", partial(self._fate, one)
        for one in self._notebook.uncertain:
            yield f"{one.kind} {one.key}", partial(self._uncertain_fate, one)

    def _fate(self, one: Accepted) -> Fate:
        of_kind = {
            "conversion": self._conversion,
            "upload": self._upload,
            "release": self._release,
            "script": self._script,
        }
        return of_kind[one.kind](one)

    def _uncertain_fate(self, one: Accepted) -> Fate:
        """Where it was taken after all it has a task, and everything holds for that; but there may not be two."""
        tasks = self._tasks_of(one)
        if len(tasks) == 1:
            promised = {**one.promised, "token": tasks[0].token}
            return self._fate(Accepted(one.kind, str(tasks[0].ticket), promised))
        effects = self._marks(one).count("begin") if one.kind == "script" else 0
        return Fate(one, [f"task {task.ticket}" for task in tasks], effects=effects, certain=False)

    def taken(self) -> Counter[str]:
        """How many of those that were never answered had been taken, by kind."""
        return Counter(one.kind for one in self._notebook.uncertain if self._tasks_of(one))

    def _tasks_of(self, one: Accepted) -> list[JobRecord]:
        """All tasks that a conversion or a script became, which is one where all is well."""
        name = one.promised["name"]
        return self._by_title[title_of(name) if one.kind == "script" else f"{name} {VERSION}"]

    def _tickets_of(self, one: Accepted) -> list[int]:
        return sorted(task.ticket for task in self._tasks_of(one))

    @cached_property
    def _by_title(self) -> defaultdict[str, list[JobRecord]]:
        found: defaultdict[str, list[JobRecord]] = defaultdict(list)
        for record in self.records:
            if record.kind in WITH_TITLE:
                found[record.title].append(record)
        return found

    # --- tasks --------------------------------------------------------------------------------------

    def unfinished(self) -> list[int]:
        """Tickets of the tasks that have not ended."""
        every = [int(ticket) for ticket in cast("list[bytes]", self.engine.redis.zrange(keys.TASKS, 0, -1))]
        return [ticket for ticket, state in self.engine.states(every).items() if not state.finished]

    def pausing(self) -> set[int]:
        """Those of them that pause before they are tried again, and for no longer than they should."""
        queue = self.engine.queue("default")
        seconds, _ = cast("tuple[int, int]", self.engine.redis.time())
        over = set(pauses.over(queue, seconds))
        return {int(ticket) for ticket in queue.scheduled_job_registry.get_job_ids() if ticket not in over}

    def outcomes(self) -> Counter[str]:
        """How all tasks have ended, also those that the server has given itself, by kind and state."""
        found: Counter[str] = Counter()
        for record in self.records:
            why = f" ({record.failure.code})" if record.failure else ""
            found[f"{record.kind}: {record.state}{why}"] += 1
        return found

    def repeats(self) -> int:
        """How many tasks were begun more than once."""
        return sum(record.attempt > 1 for record in self.records)

    @cached_property
    def records(self) -> list[JobRecord]:
        """Those of all tasks, as they were when this was asked first."""
        return self.engine.list_jobs(limit=100_000)

    def log(self, ticket: int) -> list[LogEntry]:
        """The events of a task as they are kept."""
        return [LogEntry(event.id, event.type, event.data) for event in self.engine.events(ticket)]

    def _ends(self, ticket: int) -> list[str]:
        """The state in each end that the task's log tells; what its record says counts as well where that differs."""
        ends = [str(event.data.get("state")) for event in self.engine.events(ticket) if event.type == "done"]
        try:
            record = self.engine.find(ticket)
        except JobNotFound:
            return ends
        return ends if not record.state.finished or record.state in ends else [*ends, str(record.state)]

    def _follower(self, ticket: int) -> JobRecord | None:
        """The task that tells the webhook of a conversion."""
        found = cast("bytes | None", self.engine.redis.hget(keys.task(ticket), "then"))
        return self.engine.find(int(found)) if found else None

    def _conversion(self, one: Accepted) -> Fate:
        ticket = int(one.key)
        ends = self._ends(ticket)
        follower = self._follower(ticket)
        told = follower is not None and follower.state == "succeeded"
        status = self._get(f"/api/converter/get_status/{ticket}?token={one.promised['token']}").json()
        promised: dict[str, Any] = {"status": "DONE"}
        found: dict[str, Any] = {"status": status.get("state")}
        if ends == ["succeeded"]:
            promised |= one.promised["sums"]
            found |= self._converted(ticket, one.promised["token"])
        return Fate(
            one,
            ends,
            effects=self._elsewhere.told[ticket],
            least=int(told),
            # A try whose worker was killed may have arrived: then the next one is a second call.
            most=max(1, follower.attempt if follower else 1),
            promised=promised,
            found=found,
            tasks=self._tickets_of(one),
            lacks=lacks_of_webhook(follower),
        )

    def _converted(self, ticket: int, token: str) -> dict[str, str]:
        """By file name the sum of what the mirror gives, or what is wrong."""
        answer = self._http.post(
            f"{URL}/api/converter/retrieve", data={"ticket": ticket, "token": token}, timeout=ANSWER_SECONDS
        ).json()
        if not answer.get("success"):
            return {"result": "there is none"}
        found = {}
        for package in json.loads(answer["json"])["mods"][0]["packages"]:
            for file in package["files"]:
                (mirrored,) = [link for link in file["urls"] if link.startswith(URL)] or [""]
                sha256 = self._sum_of(mirrored) if mirrored else "not in the mirror"
                found[file["filename"]] = sha256 if sha256 == file["checksum"][1] else f"{sha256}, not as described"
        return found

    def mirrored(self) -> set[str]:
        """Where all archives that results have lie in the mirror, also of those that nobody here has asked for."""
        ended = [one.ticket for one in self.records if one.kind == "conversion" and one.state == "succeeded"]
        urls = {
            url
            for ticket in ended
            for mod in self.engine.result(ticket)["mods"]
            for package in mod["packages"]
            for file in package["files"]
            for url in file["urls"]
        }
        prefix = f"{URL}/mirror/"
        return {unquote(url.removeprefix(prefix)) for url in urls if url.startswith(prefix)}

    # --- uploads and releases -----------------------------------------------------------------------

    def _upload(self, one: Accepted) -> Fate:
        rows = self._rows("SELECT size FROM blobs WHERE sha256 = :sha256", sha256=one.key)
        promised = {"storage": one.key, "server": one.key, "size": one.promised["size"]}
        found = {
            "storage": self._stored(one.key),
            "server": self._sum_of(f"{URL}/storage/files/{one.key}/core.zip"),
            "size": rows[0][0] if rows else None,
        }
        return Fate(one, ["stored"] * len(rows), promised=promised, found=found)

    def _release(self, one: Accepted) -> Fate:
        mod, _, version = one.key.partition(" ")
        rows = self._rows(
            "SELECT state FROM releases WHERE mod_id = :mod AND version = :version", mod=mod, version=version
        )
        noted = self._rows(
            "SELECT id FROM audit_log WHERE action = 'release.publish' AND subject = :subject",
            subject=f"mod:{mod} {version}",
        )
        offered = [one for one in self._repository if (one["id"], one["version"]) == (mod, version)]
        sums = [file["checksum"][1] for one in offered for package in one["packages"] for file in package["files"]]
        links = [
            link for one in offered for package in one["packages"] for file in package["files"] for link in file["urls"]
        ]
        sha256 = one.promised["sha256"]
        about = ("release", mod, version)
        least = 0 if about in self._to_be_told else 1
        told = sum(delivered == about for delivered in self._elsewhere.deliveries.values())
        return Fate(
            one,
            [str(row[0]) for row in rows],
            effects=told,
            least=least,
            promised={"offered": [sha256], "files": [sha256], "storage": sha256, "audit": 1},
            found={
                "offered": sums,
                "files": [self._sum_of(link) for link in links],
                "storage": self._stored(sha256),
                "audit": len(noted),
            },
        )

    @cached_property
    def _to_be_told(self) -> set[tuple[str, str, str]]:
        """What webhooks are told of by tasks that have not ended, which are judged as such."""
        notices = [self.engine.payload(ticket).get("notice") or {} for ticket in self.unfinished()]
        return {tuple(str(notice.get(name)) for name in ("event", "mod", "version")) for notice in notices}

    @cached_property
    def _repository(self) -> list[dict[str, Any]]:
        """What players are offered."""
        mods: list[dict[str, Any]] = self._get("/storage/repo.json").json()["mods"]
        return mods

    def _stored(self, sha256: str) -> str:
        """The sum of what lies in the storage under a sum."""
        digest = hashlib.sha256()
        for piece in self.storage.read(blob_key(sha256)):
            digest.update(piece)
        return digest.hexdigest()

    # --- scripts ------------------------------------------------------------------------------------

    def _script(self, one: Accepted) -> Fate:
        ticket = int(one.key)
        answer = self._people[one.promised["owner"]].as_person("GET", f"/api/jobs/{ticket}", repeat=True)
        shown = answer.json()
        ends = [SCRIPT_ENDS.get(end, end) for end in self._ends(ticket)]
        if shown.get("status") in ("done", "failed"):
            ends = list(dict.fromkeys([*ends, shown["status"]])) if len(ends) <= 1 else ends
        marks = self._marks(one)
        promised: dict[str, Any] = {}
        found: dict[str, Any] = {}
        if ends == ["done"]:
            output = output_of(one.promised["lines"])
            promised = {"marks": ["begin", "end"], "output": output, "output for watchers": output}
            found = {"marks": marks, "output": shown.get("out"), "output for watchers": self._told(ticket)}
        elif ends == ["failed"]:
            promised, found = {"says why": True}, {"says why": bool(shown.get("error"))}
        return Fate(
            one, ends, effects=marks.count("begin"), promised=promised, found=found, tasks=self._tickets_of(one)
        )

    def _told(self, ticket: int) -> str:
        """What the log of a script's task says that it has written."""
        return "".join(event.data["text"] for event in self.engine.events(ticket) if event.type == "output")

    def _marks(self, one: Accepted) -> list[str]:
        """What a script has written into its file: once "begin" and once "end", if it ran once."""
        number = self._numbers[one.promised["owner"]]
        name = one.promised.get("name", one.key)
        file = self._deployment.folder / "homes" / str(number) / MARKS / name
        return file.read_text().split() if file.exists() else []

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {row[0]: row[1] for row in self._rows("SELECT name, id FROM users")}

    # --- asking -------------------------------------------------------------------------------------

    def _rows(self, statement: str, **values: Any) -> list[Any]:
        with self.database.reading() as session:
            return list(session.execute(text(statement), values))

    def _get(self, path: str) -> requests.Response:
        return self._http.get(URL + path, timeout=ANSWER_SECONDS)

    def _sum_of(self, url: str) -> str:
        answer = self._http.get(url, timeout=ANSWER_SECONDS)
        if answer.status_code != 200:
            return f"status {answer.status_code}"
        return hashlib.sha256(answer.content).hexdigest()
