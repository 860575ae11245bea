"""Run the chaos: ``python -m chaos [--seed N] [--seconds S]``, as root, in S seconds (600).

Prints what was done to the deployment, what it had accepted and what became of that; ``var/chaos.json`` keeps it.
The same seed gives the same faults at the same moments; what they meet depends on the machine.

Exit code 0: nothing is lost, doubled or left over; 1: something is (the last lines say what), or the run was ended
early, which leaves nothing behind, not even numbers; 3: something is missing, and the message says what to install.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from chaos import namespaces, needs
from chaos.report import RUN_JSON, shown
from knossos.errors import EXIT_MISSING, EXIT_OK, MissingDependency
from knossos.launch.processes import end_with_parent
from knossos.settings import ROOT

#: Seconds that a run may take by itself, the fewest that are enough for all of it, and those of them that it takes to
#: begin and to end one.
SECONDS, LEAST_SECONDS, MARGIN_SECONDS = 600, 120, 8


def main(arguments: list[str]) -> int:
    """Run it all, and answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="which faults, and when; a random one by itself")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long, at least {LEAST_SECONDS}")
    parser.add_argument("--logs", type=Path, help="keep the logs of all processes in this folder")
    parser.add_argument("--into", type=Path, default=RUN_JSON, help="where the numbers go")
    chosen = parser.parse_args(arguments)
    if chosen.seconds < LEAST_SECONDS:
        parser.error(f"--seconds: expected at least {LEAST_SECONDS}")
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    try:
        found = needs.look()
    except MissingDependency as error:
        print(error, file=sys.stderr)
        return EXIT_MISSING
    signal.signal(signal.SIGTERM, _interrupt)
    print(f"chaos: seed {seed}, {chosen.seconds:.0f} seconds", file=sys.stderr)
    report = run(seed, chosen.seconds, found, chosen.logs)
    if report is None:
        return 1
    publish(report, chosen.into)
    return EXIT_OK if report["clean"] else 1


def run(seed: int, seconds: float, found: needs.Found, logs: Path | None) -> dict[str, Any] | None:
    """What the run found; None where it was ended early or broke."""
    task = {
        "seed": seed,
        "seconds": seconds - MARGIN_SECONDS,
        "logs": str(logs.absolute()) if logs else "",
        **found.as_dict(),
    }
    process = subprocess.Popen(
        namespaces.command("chaos.inside", json.dumps(task)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=end_with_parent(signal.SIGKILL),  # safe: there is only one thread
    )
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        print("the time is over; nothing is kept", file=sys.stderr)
        return None
    except KeyboardInterrupt:
        print("interrupted; nothing is kept", file=sys.stderr)
        return None
    finally:
        # With this process the kernel ends the first one inside, and with that all others there.
        process.kill()
        process.wait()
    if process.returncode != EXIT_OK:
        print(f"the run broke, with code {process.returncode}; nothing is kept", file=sys.stderr)
        return None
    report: dict[str, Any] = json.loads(output)
    return report


def publish(report: dict[str, Any], into: Path) -> None:
    """The table, and the numbers for programs."""
    print(shown(report))
    into.parent.mkdir(parents=True, exist_ok=True)
    temporary = into.with_name(f"{into.name}.part")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(into)


def _interrupt(_signum: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
