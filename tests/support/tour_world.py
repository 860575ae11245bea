"""A server with something of everything on it, for pages to be looked at: by tests of access, and for their pictures.

What has ended was run by a real worker in the real sandbox; what goes on is played by hand, so that it looks the same
whenever one looks. dora publishes mods and has a home, olga operates the server, newt has just come and has nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from knossos.accounts import Account, Accounts
from knossos.accounts.administration import Administration, By, Change
from knossos.accounts.audit import Actor
from knossos.accounts.mail_links import MailLinks, Purpose
from knossos.database import Database
from knossos.homes import Homes
from knossos.homes.scheduling import Scheduling, scheduling
from knossos.homes.scripts import HomeScripts
from knossos.jobs import JobFailure
from knossos.publishing.publisher import Publisher
from knossos.publishing.tracking import Event, Report
from knossos.scripting.calls import Scripting
from knossos.settings import ROOT
from tests.support import scenes
from tests.support.mod_scenes import paint, publish_mods
from tests.support.people import CHEAP, PASSWORD
from tests.support.processes import wait_for, worker_process
from tests.support.scenes import PlayedJob
from tests.support.script_scenes import play_run
from tests.support.site import Site

#: What stands for a hoster's picture.
CODE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)

#: A calculation: as many lines as its input says, and a file with the result.
CALCULATE = """#!/bin/sh
grep -q fail input.xml && { echo 'SCF did not converge in 20 iterations' >&2; exit 3; }
echo 'Atoms: 4, k-points: 64'
for value in 0913 1102 1121 1240 1243 12441; do echo "Total energy (Hartree) : -964.$value"; done
echo '<info energy="-964.12441"/>' > info.xml
"""
PLOT = {"pattern": r"Total energy .* : +(-?[0-9.]+)", "label": "Total energy", "unit": "hartree"}
INPUT = """<input>
  <title>{title}</title>
  <structure speciespath="./">
    <crystal scale="7.653"><basevect>0.5 0.5 0.0</basevect></crystal>
    <species speciesfile="Al.xml"><atom coord="0.0 0.0 0.0"/></species>
  </structure>
  <groundstate ngridk="4 4 4"/>
</input>
"""

SUMMARISE = """# Means of each station
import csv, statistics

with open("measurements/harbour.csv") as table:
    rows = list(csv.DictReader(table))
for station in sorted({row["station"] for row in rows}):
    values = [float(row["salinity"]) for row in rows if row["station"] == station]
    print(f"{station:<14}{len(values):>5} values, mean {statistics.mean(values):.2f}")
"""
FAILS = """# Compare with last week
with open("measurements/last-week.csv") as table:
    print(len(table.readlines()))
"""


@dataclass
class World:
    """``jobs`` are tasks that were played, ``runs`` the ids of runs, ``ids`` what else addresses are made of."""

    site: Site
    jobs: dict[str, PlayedJob] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)


@contextmanager
def tour_world(folder: Path, redis_url: str) -> Iterator[World]:
    """Start the servers, and fill them; ``folder`` is for their data."""
    program = folder / "calculate.sh"
    program.write_text(CALCULATE)
    program.chmod(0o755)
    more: dict[str, Any] = {
        "server_side_scripting_bin_dirs": (str(ROOT / "examples/scripts"),),
        "command": "python3",
        "args": ("-u", "-"),
        "calculation_command": (str(program),),
        "calculation_open": True,
        "calculation_plot": (
            {"pattern": r"Total energy .* : +(-?[0-9.]+)", "label": "Total energy", "unit": "hartree"},
        ),
        "role_permissions": {"curators": ("SCRIPTING:EXECUTE:*",), "students": ("SCRIPTING:EXECUTE:handle_csv.py",)},
        "max_running_per_user": 1,
    }
    with Site(folder, redis_url, **more) as site:
        world = World(site)
        database = Database(site.settings)
        try:
            _Filling(world, database, folder).fill()
        finally:
            database.close()
        yield world


class _Filling:
    def __init__(self, world: World, database: Database, folder: Path) -> None:
        self._world, self._site, self._engine = world, world.site, world.site.engine
        self._database, self._folder = database, folder
        self._scripting = Scripting(self._site.settings, database, self._engine)
        self._homes = Homes(self._site.settings)
        self._scripts = HomeScripts(
            self._site.settings, database, self._scripting.storage, self._engine, self._scripting.runs, self._homes
        )
        self._made: Scheduling = scheduling(
            self._site.settings, database, self._engine, self._scripting, self._homes, self._scripts
        )
        accounts = Accounts(database, CHEAP)
        for name, roles in (("newt", []), ("ada", ["students"]), ("ben", ["curators"]), ("curie", []), ("eve", [])):
            accounts.add(name, PASSWORD, roles, f"{name}@example.org", more_roles=("students", "curators"))
        self._dora, self._olga = accounts.get("dora"), accounts.get("olga")
        by = By(Actor("olga"), self._olga.user_id)
        Administration(database, accounts).change("eve", Change(disabled=True), by)

    def fill(self) -> None:
        self._mods()
        self._home(self._dora)
        self._ended()
        self._tasks()
        self._going_on()
        scenes.play_workers(self._engine, ("knossos-1", "knossos-2"))
        self._schedules()
        self._links()

    # --- mods ---------------------------------------------------------------------------------------

    def _mods(self) -> None:
        publisher = Publisher(self._site.settings, self._database, self._engine)
        publish_mods(publisher, self._folder)
        publisher.tracking.count([Report(Event.DOWNLOAD, "starlit-passage", "1.2.0")] * 1234)
        lines = [f"00:00:{second:02} {text}" for second in range(60) for text in LOG_LINES]
        self._world.ids["log"] = publisher.logs.add("\n".join(lines))
        # What publishing has asked the workers for is not what the pages of tasks are about.
        self._engine.redis.flushall()

    # --- homes, scripts, calculations ---------------------------------------------------------------

    def _home(self, account: Account) -> None:
        self._homes.open(account.user_id).close()
        home = self._homes.folder(account.user_id)
        (home / "measurements").mkdir()
        (home / "figures").mkdir()
        (home / "empty").mkdir()
        (home / "measurements" / "harbour.csv").write_text(harbour_table())
        (home / "summarise.py").write_text(SUMMARISE)
        (home / "notes on the second week of measuring at the harbour.txt").write_text("Rain on Tuesday.\n" * 40)
        (home / "archive.bin").write_bytes(bytes(range(256)) * 4000)
        paint("harbour", (480, 300), ("#10233f", "#5fb3e0")).save(home / "figures" / "harbour.png")
        (home / "latest").symlink_to("summarise.py")

    def _ended(self) -> None:
        """What a real worker has run, as the settings say."""
        worker = worker_process(self._folder / "worker.log", self._folder / "settings.py")
        try:
            for name, script in (("script done", SUMMARISE), ("script failed", FAILS)):
                record = self._scripts.submit(self._dora, script.encode())
                self._world.runs[name] = self._until_ended(record.ticket)
            for name, title in (("calculation done", "aluminium"), ("calculation failed", "fail")):
                sha1, data = self._input(title)
                record_of = self._scripting.calculations.post(sha1, data).record
                assert record_of is not None
                self._world.runs[name] = self._until_ended(record_of.ticket)
        finally:
            worker.stop()

    def _until_ended(self, ticket: int) -> str:
        def ended() -> str | None:
            run = self._scripting.runs.of_ticket(ticket)
            return run.run_id if run is not None and run.outcome is not None else None

        return wait_for(ended, f"run {ticket} to end")

    def _input(self, title: str) -> tuple[str, bytes]:
        data = INPUT.format(title=title).encode()
        return hashlib.sha1(data).hexdigest(), data

    def _going_on(self) -> None:
        """What a visitor sees while it goes on, and what waits behind it."""
        run = play_run(self._scripting, self._engine, "handle_csv.py", self._olga)
        self._world.jobs["run"] = run
        self._world.runs["run"] = self._run_of(run)
        live = self._begin(PlayedJob.of(self._engine, self._scripts.submit(self._dora, SUMMARISE.encode())))
        for station, mean in (("breakwater", 2.96), ("harbour-east", 3.41), ("harbour-west", 3.02)):
            live.write("output", {"stream": "stdout", "text": f"{station:<14}  409 values, mean {mean:.2f}\n"})
        self._world.runs["script live"] = self._run_of(live)
        waits = PlayedJob.of(self._engine, self._scripts.submit(self._dora, SUMMARISE.encode()))
        self._world.runs["script waits"] = self._run_of(waits)
        sha1, data = self._input("copper, with 2 atoms")
        record = self._scripting.calculations.post(sha1, data).record
        assert record is not None
        calculation = self._begin(PlayedJob.of(self._engine, record))
        for number in range(1, 25):
            value = -964.1244 + 0.3 * math.exp(-number / 3) * math.cos(number)
            calculation.write("output", {"stream": "stdout", "text": f"Total energy (Hartree) : {value:.6f}\n"})
        self._world.runs["calculation live"] = self._run_of(calculation)

    def _begin(self, job: PlayedJob) -> PlayedJob:
        job.start()
        self._scripting.runs.begin(self._run_of(job), job.ticket)
        return job

    def _run_of(self, job: PlayedJob) -> str:
        run = self._scripting.runs.of_ticket(job.ticket)
        assert run is not None
        return run.run_id

    # --- tasks, schedules, accounts -----------------------------------------------------------------

    def _tasks(self) -> None:
        jobs = self._world.jobs
        jobs["succeeded"] = scenes.succeeded(self._engine)
        jobs["failed"] = scenes.failed(self._engine)
        jobs["cancelled"] = scenes.cancelled(self._engine)
        jobs["asking"] = scenes.asking(self._engine, CODE)
        jobs["running"] = scenes.running(self._engine)
        scenes.remember_sizes(self._site.settings)
        self._engine.cancel(PlayedJob(self._engine, "Copper Tide 3.1").ticket, "Cancelled on its page.")
        PlayedJob(self._engine, "Northern Gate 0.4.2").start().progress(0.82, "Reading northern-gate.7z")
        PlayedJob(self._engine, "Quiet Orbit 1.0.0")
        told = PlayedJob(self._engine, "Northern Gate 0.4.1 to chat.example.org", "publishing:", "webhook").start()
        told.fail(JobFailure(code="not_accepted", message="chat.example.org answers 503 (Service Unavailable)."))
        # Failures as RQ lists them, for the operator.
        registry = self._engine.queue("default").failed_job_registry
        self._engine.redis.zadd(registry.key, {str(job.ticket): 4e9 for job in (jobs["failed"], told)})

    def _schedules(self) -> None:
        schedules = self._made.schedules
        nightly = {"kind": "home", "path": "summarise.py", "cron": "30 2 * * 1-5", "zone": "Europe/Berlin"}
        first = schedules.create(self._dora, nightly)
        weekly = {"kind": "home", "path": "summarise.py", "cron": "0 8 * * 1", "name": "Means for Monday's meeting"}
        paused = schedules.create(self._dora, weekly)
        schedules.change(self._dora, paused.schedule_id, {"enabled": False})
        self._world.ids["schedule"] = first.schedule_id

    def _links(self) -> None:
        links = MailLinks(self._site.settings, self._database)
        curie = Accounts(self._database, CHEAP).get("curie")
        for purpose in (Purpose.VERIFY, Purpose.RESET):
            self._world.ids[purpose] = links.issue(curie.user_id, purpose).rpartition("/")[2]


LOG_LINES = (
    "Loading table 'ships.tbl'",
    "Warning: 'Ariadne' has no engine wash defined",
    "Frame rendered in 12 ms",
    "Error: could not open 'data/maps/cruiser.dds'",
)


def harbour_table() -> str:
    """Measurements of three stations, 150 rows."""
    rows = ["day,station,salinity,temperature,remark"]
    for day in range(1, 51):
        for number, station in enumerate(("breakwater", "harbour-east", "harbour-west")):
            salinity = 3.1 + 0.3 * math.sin(day / 5 + number)
            remark = "after rain" if day % 9 == 0 else ""
            rows.append(f"2026-05-{1 + day % 30:02},{station},{salinity:.2f},{11 + day / 10 + number:.1f},{remark}")
    return "\n".join(rows) + "\n"
