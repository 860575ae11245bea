"""What a run goes through, one after the other: each target, and those with a deployment on each kind of database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from fuzz.targets import SHARES, Place, load


class DatabaseKind(StrEnum):
    """What a deployment keeps its rows in."""

    #: It takes any text, and numbers of 64 bits.
    SQLITE = "sqlite"
    #: It refuses a NUL and half a character in a text, and a number that is too large for its column.
    POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Round:
    """A target, and its database where it has one."""

    target: str
    database: DatabaseKind | None = None

    @property
    def name(self) -> str:
        """What tables and the seed call it."""
        return f"{self.target}, PostgreSQL" if self.database is DatabaseKind.POSTGRESQL else self.target


def rounds_of(names: Iterable[str], databases: Sequence[DatabaseKind]) -> list[tuple[Round, float]]:
    """All rounds with their parts of the time; those that share a deployment follow each other."""
    with_database = {name: load(name).PLACE is Place.DEPLOYMENT for name in names}
    alone: list[tuple[Round, float]] = [
        (Round(name), float(SHARES[name])) for name, needs_one in with_database.items() if not needs_one
    ]
    return alone + [
        (Round(name, database), SHARES[name] / len(databases))
        for database in databases
        for name, needs_one in with_database.items()
        if needs_one
    ]
