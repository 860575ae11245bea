"""One module for each thing that is fuzzed. Each has:

* ``inputs(random)``: endless inputs as bytes, the same for the same seed;
* ``PLACE``: where they run: in a process of their own (`fuzz.arena`), or against a whole deployment
  (`fuzz.deployment`);
* ``make(place)``: gives the function that takes one input. It returns where the input was accepted or refused as the
  product refuses; whatever it raises is a crash (`fuzz.crashes`).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from random import Random
from typing import Any, Protocol


class Place(StrEnum):
    """Where the inputs of a target run."""

    #: A process with a limit of its memory; ``make`` gets an empty folder.
    PROCESS = "process"
    #: A server, a WebSocket server, a worker, Redis and a database; ``make`` gets the `Deployment`.
    DEPLOYMENT = "deployment"


class Target(Protocol):
    """What a module of a target has."""

    PLACE: Place

    def inputs(self, random: Random) -> Iterator[bytes]: ...

    def make(self, place: Any) -> Callable[[bytes], None]: ...


#: All targets in the order in which they run, with their part of the time.
SHARES = {
    "archives": 4,
    "descriptions": 2,
    "xml": 2,
    "runner_files": 2,
    "paths": 2,
    "openapi": 5,
    "protocols": 5,
    "multipart": 4,
    "sockets": 4,
    "served_paths": 3,
    "conversions": 4,
}


def load(name: str) -> Target:
    """The target of that name; a dotted name is a module elsewhere (tests have some).

    Raises:
        ImportError: there is none.
    """
    module: Any = importlib.import_module(name if "." in name else f"{__name__}.{name}")
    target: Target = module
    return target
