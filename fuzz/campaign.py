"""One round for so many seconds, or so many inputs: what it took, and what it broke."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from fuzz.crashes import Broken, Crash
from fuzz.rounds import Round
from fuzz.targets import Target

#: Inputs before a crash that are kept with it, and files that are kept of crashes that are probably one.
EARLIER, FILES_OF_ONE = 5, 3

Clock = Callable[[], float]


class Taker(Protocol):
    """Takes inputs, one after the other, and raises `Broken` of one that breaks something."""

    def take(self, data: bytes) -> None: ...


@dataclass
class Outcome:
    """What came of a round."""

    round: Round
    inputs: int = 0
    crashes: int = 0
    seconds: float = 0.0
    #: Of the crashes, by what they are probably: how often, and the files of the first ones.
    found: dict[str, int] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def add(self, crash: Crash, folder: Path) -> None:
        self.crashes += 1
        count = self.found[crash.signature] = self.found.get(crash.signature, 0) + 1
        if count <= FILES_OF_ONE:
            self.files.append(crash.save(folder))

    def as_dict(self, seed: int) -> dict[str, Any]:
        """The numbers, as they are kept."""
        return {
            "target": self.round.target,
            "database": self.round.database,
            "seed": seed,
            "inputs": self.inputs,
            "crashes": self.crashes,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Plan:
    """What to run."""

    round: Round
    seed: int
    #: Seconds that it may take, and inputs at the most; None: as many as there is time for.
    seconds: float
    inputs: int | None = None


def run(plan: Plan, target: Target, taker: Taker, folder: Path, clock: Clock = time.monotonic) -> Outcome:
    """Give the target its inputs until its time is over. Each crash goes into ``folder``."""
    outcome, begun = Outcome(plan.round), clock()
    earlier: deque[bytes] = deque(maxlen=EARLIER)
    for data in _limited(target.inputs(Random(f"{plan.seed} {plan.round.name}")), plan.inputs):
        outcome.inputs += 1
        try:
            taker.take(data)
        except Broken as broken:
            crash = Crash(plan.round, plan.seed, outcome.inputs, broken.kind, broken.detail, data, tuple(earlier))
            outcome.add(crash, folder)
        earlier.append(data)
        if clock() - begun >= plan.seconds:
            break
    outcome.seconds = round(clock() - begun, 1)
    return outcome


def _limited(inputs: Iterator[bytes], most: int | None) -> Iterator[bytes]:
    for number, data in enumerate(inputs):
        if number == most:
            return
        yield data
