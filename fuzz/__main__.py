"""Fuzz the server: ``python -m fuzz [--seed N] [--seconds S] [TARGET ...]``; all targets without a name.

Each crash is kept in ``var/fuzz``, and ``python -m fuzz --replay FILE`` runs its input once more. The numbers go to
``var/fuzz.json``. A run ends by itself, and when it is interrupted it stops all that it has started, and leaves the
numbers of the last whole run alone. Exit code 0: no crash; 1: there are some, or it was interrupted; 3: something that
is needed is missing, and the message says what to install.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from fuzz import campaign, crashes, interruption, needs
from fuzz.campaign import Outcome, Plan
from fuzz.guard import guarded
from fuzz.places import Places
from fuzz.rounds import DatabaseKind, Round, rounds_of
from fuzz.targets import SHARES, load
from knossos.errors import EXIT_MISSING, EXIT_OK, MissingDependency
from knossos.settings import ROOT

#: Seconds that all targets together may take, and what is left of them for a last input that hangs, and for stopping.
SECONDS, RESERVE_SECONDS = 600, 75
SEED = 1


def main(arguments: list[str]) -> int:
    """Fuzz what was named, or run the input of a crash once more."""
    parser = argparse.ArgumentParser(
        prog="python -m fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="*", help=f"default: all of {', '.join(SHARES)}")
    parser.add_argument("--seed", type=int, default=SEED, help="the same seed gives the same inputs")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="most that all of it may take")
    parser.add_argument(
        "--database", type=DatabaseKind, action="append", help=f"{' or '.join(DatabaseKind)}; both by itself"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the input of a crash once more")
    parser.add_argument("--into", type=Path, default=ROOT / "var", help="folder of the numbers and the crashes")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.target if name not in SHARES]:
        parser.error(f"there is no target {unknown[0]!r}; expected {', '.join(SHARES)}")
    interruption.listen()
    try:
        needs.check()
        if chosen.replay:
            return replay(chosen.replay)
        databases = list(dict.fromkeys(chosen.database or DatabaseKind))
        rounds = rounds_of(chosen.target or list(SHARES), databases)
        needs.check_databases(one.database for one, _ in rounds)
        return fuzz(rounds, chosen.seed, chosen.seconds, chosen.into)
    except MissingDependency as error:
        print(error, file=sys.stderr)
        return EXIT_MISSING
    except KeyboardInterrupt:
        print("interrupted; no numbers are kept", file=sys.stderr)
        return 1


def fuzz(rounds: list[tuple[Round, float]], seed: int, seconds: float, into: Path) -> int:
    """Go through the rounds one after the other, and tell what came of it."""
    until = time.monotonic() + seconds - min(RESERVE_SECONDS, seconds / 4)
    outcomes: list[Outcome] = []
    with Places() as places:
        for number, (one, part) in enumerate(rounds):
            with places.taker(one) as taker:
                left = sum(part for _, part in rounds[number:])
                share = max(0.0, until - time.monotonic()) * part / left
                print(f"fuzzing: {one.name}, {share:.0f} s", file=sys.stderr)
                outcome = campaign.run(Plan(one, seed, share), load(one.target), taker, into / "fuzz")
            outcomes.append(outcome)
            for signature, count in outcome.found.items():
                print(f"  {count} x {signature}", file=sys.stderr)
    publish(outcomes, seed, into)
    return 1 if any(outcome.crashes for outcome in outcomes) else EXIT_OK


def replay(path: Path) -> int:
    """Run the input of a crash once more, and where that is not enough, with the inputs before it."""
    try:
        crash = crashes.load(path)
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {crash.signature}\nseed {crash.seed}, input {crash.number}:\n{crash.data[:2000]!r}")
    with Places() as places, places.taker(crash.round) as taker:
        for data in (crash.data, *crash.earlier, crash.data):
            try:
                taker.take(data)
            except crashes.Broken as broken:
                print(f"it breaks again: {broken.kind}\n{broken.detail}")
                return 1
    print("it does not break any more")
    return EXIT_OK


def publish(outcomes: list[Outcome], seed: int, into: Path) -> None:
    """The table, how to replay what was found, and the numbers."""
    print(table(outcomes))
    for path in (path for outcome in outcomes for path in outcome.files):
        print(f"python -m fuzz --replay {os.path.relpath(path)}")
    rows = [one.as_dict(seed) for one in outcomes]
    _write(into / "fuzz.json", json.dumps(rows, indent=1) + "\n")


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a Markdown table."""
    lines = ["| target | inputs | crashes |", "|---|---:|---:|"]
    lines += [f"| {one.round.name} | {one.inputs:,} | {one.crashes:,} |" for one in outcomes]
    total = sum(one.inputs for one in outcomes), sum(one.crashes for one in outcomes)
    return "\n".join([*lines, f"| **all** | {total[0]:,} | {total[1]:,} |"])


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
