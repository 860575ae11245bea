"""The run itself, as the first process of its namespaces: start, load, faults, cut, rest, reckoning.

``python -m chaos.inside TASK`` is what ``python -m chaos`` starts; the report goes to standard output as JSON. It never
stops what it has started: with this process the kernel ends all of it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from chaos import hosts, leftovers, namespaces
from chaos.clients import Client
from chaos.deployment import WORKERS, Deployment
from chaos.elsewhere import Elsewhere
from chaos.faults import Faults
from chaos.gathering import Gathering
from chaos.judge import Finding, Wrong, judge_leftovers
from chaos.load import PEOPLE, Load
from chaos.namespaces import WORLD
from chaos.needs import Found
from chaos.notebook import Notebook
from chaos.reckoning import reckon
from chaos.report import summary
from chaos.units import children_of

#: Which part of the time the second host is being cut off in, and how many seconds that is at the least and the most.
CUT_SHARE, CUT_SECONDS = 0.2, (25.0, 80.0)
#: Seconds by which the last cut goes beyond that, on the average.
OVER_SECONDS = 10.0
#: The same of the time in which all comes to rest, and of that in which it is looked at.
REST_SHARE, REST_SECONDS = 0.15, (40.0, 60.0)
LOOK_SHARE, LOOK_SECONDS = 0.08, (15.0, 40.0)
#: Seconds before the end in which what is known by then is told, whatever holds the rest up; and that a client waits
#: for a server that has nothing else to do any more.
END_SECONDS, PATIENCE_SECONDS = 3.0, 15.0
#: Seconds for which all must be still, and between two looks.
STILL_SECONDS, PAUSE_SECONDS = 5.0, 0.5
#: Seconds in which a task whose pause is over is taken by a worker, if there is so much time.
LATE_SECONDS = 12.0


class Run:
    """One run, from nothing to the report."""

    def __init__(self, seed: int, seconds: float, found: Found) -> None:
        self.began = time.monotonic()
        self.seed = seed
        self.seconds = seconds
        self.notebook = Notebook()
        self.deployment = Deployment(WORLD, found)
        self.elsewhere = Elsewhere()
        self.load = Load(seed, self.notebook, self.elsewhere)
        self.faults = Faults(self.deployment, seed)
        #: How many faults were done but for the cable, which has its turn afterwards.
        self.harm = 0
        self.cut_jobs: list[str] = []
        self.findings: list[Finding] = []
        self.outcomes: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self._look_seconds = _within(seconds * LOOK_SHARE, LOOK_SECONDS)

    def go(self) -> dict[str, Any]:
        """All of it."""
        self._say("starting two servers, three workers, Redis, PostgreSQL and an S3 server, on two hosts")
        self.deployment.start(PEOPLE)
        cut = _within(self.seconds * CUT_SHARE, CUT_SECONDS)
        rest = _within(self.seconds * REST_SHARE, REST_SECONDS)
        rest += self._look_seconds
        self._say("load and faults")
        self.load.start()
        self.faults.start()
        time.sleep(max(0.0, self._left() - cut - rest))
        self.faults.stop()
        self.deployment.heal()
        self.harm = sum(self.faults.counts.values())
        self._say(f"{self.harm} faults so far; cutting off the second host in the middle of its jobs")
        self.cut_jobs = self.faults.cut_off(time.monotonic() + max(0.0, self._left() - rest - OVER_SECONDS))
        self._say("no more faults; nobody begins anything new")
        people = {name: Client(self.notebook, threading.Event(), name, PATIENCE_SECONDS) for name in PEOPLE}
        gathering = Gathering(self.deployment, self.notebook, self.elsewhere, people)
        try:
            self.load.stop(max(5.0, self._left() - self._look_seconds))
            self._rest(gathering)
            return self._reckon(gathering)
        finally:
            gathering.close()

    def give_up(self) -> dict[str, Any]:
        """The report where the time is over before the end: whatever is not known by then is a finding."""
        self.findings.append(Finding(Wrong.LOST, "run", "the time was over before everything was looked at"))
        return self.report({})

    def _left(self) -> float:
        return self.seconds - (time.monotonic() - self.began)

    def _rest(self, gathering: Gathering) -> None:
        """Wait until nothing waits, runs or is watched any more, or until there is no more time for that."""
        still_since = None
        while self._left() > self._look_seconds:
            unfinished = gathering.unfinished()
            busy = unfinished or self.load.watchers.unfinished() or leftovers.of_files(self.deployment)
            now = time.monotonic()
            still_since = None if busy else still_since or now
            if still_since and now - still_since > STILL_SECONDS:
                self._say("all is still")
                return
            time.sleep(PAUSE_SECONDS)
        tasks, watches = len(gathering.unfinished()), len(self.load.watchers.unfinished())
        self._say(f"not all has come to rest: {tasks} tasks have not ended, {watches} watchers wait")

    def _reckon(self, gathering: Gathering) -> dict[str, Any]:
        self._say("looking at what became of everything")
        late, pausing = self._late(gathering), len(gathering.pausing())
        for finding in reckon(gathering, self.notebook, late, self.harm):
            self.findings.append(finding)  # one by one: should the time be over, those that are known by then are told
        self.outcomes, self.taken, repeats = gathering.outcomes(), gathering.taken(), gathering.repeats()
        self.findings += judge_leftovers(self._leftovers(gathering))
        self.findings += judge_leftovers(self._left_after_the_stop())
        return self.report({"tasks begun more than once": repeats, "tasks that pause at the end": pausing})

    def _late(self, gathering: Gathering) -> list[int]:
        """Tickets of the tasks that neither end nor pause. One whose pause is just over is taken within seconds, which
        it has."""
        until = time.monotonic() + min(LATE_SECONDS, self._left() / 2)
        while True:
            pausing = gathering.pausing()
            late = [ticket for ticket in gathering.unfinished() if ticket not in pausing]
            if not late or time.monotonic() > until:
                return late
            time.sleep(PAUSE_SECONDS)

    def report(self, notes: dict[str, int]) -> dict[str, Any]:
        """What is known by now."""
        told = Counter(self.elsewhere.told.values())
        surprises = [Finding(Wrong.WRONG, "client", text) for text in sorted(set(self.notebook.surprises))]
        surprises += [Finding(Wrong.WRONG, "fault", text) for text in self.faults.broken]
        return summary(
            seed=self.seed,
            seconds=time.monotonic() - self.began,
            faults=self.faults.counts,
            requests=self._requests(),
            outcomes=self.outcomes,
            watchers={
                "watchers": len(self.notebook.watches),
                "connections": sum(watch.connections for watch in self.notebook.watches),
                "events seen": sum(len(watch.seen) for watch in self.notebook.watches),
            },
            findings=[*self.findings, *surprises],
            notes={
                **notes,
                "tasks at work on the host that was cut off": len(self.cut_jobs),
                "webhooks told again after a killed try": sum(times - 1 for times in told.elements()),
                "requests answered 500 by the storage": self.deployment.door.refused,
                "starts of processes": sum(unit.starts for unit in self.deployment.keeper.units.values()),
            },
        )

    def _requests(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for kind, count in self.notebook.requests.items():
            found[f"{kind}: sent"] = count
        found.update(f"{one.kind}: accepted" for one in self.notebook.accepted)
        for kind, count in self.notebook.told_again.items():
            found[f"{kind}: told to come again"] = count
        for kind, count in self.notebook.unanswered.items():
            found[f"{kind}: answer lost"] = count
        for kind, count in self.taken.items():
            found[f"{kind}: taken, but not said so"] = count
        for why, count in self.notebook.refused.items():
            found[f"{why.partition(':')[0]}: given up, or told to wait"] += count
        return dict(found)

    def _leftovers(self, gathering: Gathering) -> list[str]:
        """While all runs, and nothing is at work."""
        deployment = self.deployment
        found = leftovers.of_jobs() + leftovers.of_files(deployment)
        found += leftovers.of_mirror(deployment.folder / "mirror", gathering.mirrored()) + leftovers.of_machine()
        found += leftovers.of_storage(gathering.storage, gathering.database)
        return found + leftovers.of_redis(gathering.engine.redis) + leftovers.of_database(gathering.database)

    def _left_after_the_stop(self) -> list[str]:
        """Stop all but the backends, and see which processes are still there."""
        deployment = self.deployment
        seconds = max(1.0, self._left() - 2 * END_SECONDS)
        killed = deployment.keeper.stop(*WORKERS, "websocket", "server", seconds=seconds)
        deployment.keeper.close()
        found = [f"process: {name} did not stop within {seconds:.0f} seconds" for name in killed]
        allowed = {os.getpid()}
        for name in ("redis", "postgres", "s3"):
            unit = deployment.keeper.units[name]
            allowed |= {unit.pid, *children_of(unit.pid)}
        return found + leftovers.of_processes(allowed)

    def _say(self, text: str) -> None:
        print(f"chaos: {time.monotonic() - self.began:5.0f} s: {text}", file=sys.stderr, flush=True)


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])


def main(task: dict[str, Any]) -> None:
    """Furnish the namespaces, run, and print the report."""
    logs = Path(task["logs"]) if task["logs"] else None
    if logs:
        logs.mkdir(parents=True, exist_ok=True)
    namespaces.furnish(*([logs] if logs else []))
    hosts.make()
    found = Found(**{name: task[name] for name in ("redis", "postgres", "weed", "compiler")})
    run = Run(task["seed"], task["seconds"], found)

    def end(report: dict[str, Any]) -> None:
        """Print it, and end at once, whatever threads still wait for. The kernel ends the rest."""
        json.dump(report, sys.stdout)
        sys.stdout.flush()
        os._exit(0)

    late = threading.Timer(task["seconds"] - END_SECONDS, lambda: end(run.give_up()))
    late.daemon = True
    late.start()
    try:
        report = run.go()
    finally:
        if logs:
            _keep_logs(run, logs)
    late.cancel()
    end(report)


def _keep_logs(run: Run, folder: Path) -> None:
    for log in (*WORLD.glob("*.log"), *(WORLD / "logs").glob("*.log")):
        shutil.copy2(log, folder)
    (folder / "faults.log").write_text("\n".join(run.faults.log) + "\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
