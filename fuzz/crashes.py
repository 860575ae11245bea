"""What counts as a crash, and its file: everything that is needed to have it once more."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from fuzz.rounds import DatabaseKind, Round

#: The last line of a stack, in an answer of a process or in a line of a log; and what of it differs each time.
_ERROR = re.compile(r"(?:^|\| )((?:[A-Za-z_]+\.)*[A-Z]\w*(?:Error|Exception|Expired)\b[^\n|]*)", re.MULTILINE)
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9]+")


class CrashKind(StrEnum):
    """What went wrong."""

    #: A 5xx, or an exception that nobody has foreseen, in an answer or in a log.
    ERROR = "error"
    #: A process of the product is gone.
    DEAD = "dead process"
    #: No answer within the limit of one input.
    HANG = "hang"
    #: More memory than the limit.
    MEMORY = "memory"
    #: A file outside of its root was read, made, changed or removed.
    OUTSIDE = "outside its root"


class Broken(Exception):
    """What a target says of an input that has broken something."""

    def __init__(self, kind: CrashKind, detail: str) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True)
class Crash:
    """One input that broke something, and how."""

    round: Round
    seed: int
    #: Which input of its round it was, from 1.
    number: int
    kind: CrashKind
    detail: str
    data: bytes
    #: The inputs before it: a log may tell of them only now.
    earlier: tuple[bytes, ...] = ()

    @property
    def signature(self) -> str:
        """What is the same for crashes that are probably one: the kind and the error, without its numbers and names."""
        errors = _ERROR.findall(self.detail) or self.detail.strip().splitlines() or [""]
        return f"{self.round.name} {self.kind}: {_VARYING.sub('*', errors[-1])[:200]}"

    def save(self, folder: Path) -> Path:
        """Write it; the name tells target and input."""
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(self.data).hexdigest()[:12]
        path = folder / f"{self.round.target.rpartition('.')[2]}-{self.kind.replace(' ', '-')}-{digest}.json"
        content = {
            "target": self.round.target,
            "database": self.round.database,
            "seed": self.seed,
            "number": self.number,
            "kind": self.kind.value,
            "detail": self.detail,
            "data": _encoded(self.data),
            "earlier": [_encoded(one) for one in self.earlier],
        }
        temporary = path.with_name(f"{path.name}.part")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        temporary.replace(path)
        return path

    def alone(self) -> Crash:
        """The same without the inputs before it."""
        return replace(self, earlier=())


def load(path: Path) -> Crash:
    """Read what `Crash.save` has written.

    Raises:
        OSError, ValueError: it is not there, or no such file.
    """
    try:
        content = json.loads(path.read_text())
        database = content.get("database")
        return Crash(
            round=Round(str(content["target"]), database and DatabaseKind(database)),
            seed=int(content["seed"]),
            number=int(content["number"]),
            kind=CrashKind(content["kind"]),
            detail=str(content["detail"]),
            data=base64.b64decode(content["data"], validate=True),
            earlier=tuple(base64.b64decode(one, validate=True) for one in content["earlier"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no crash of ours: {error!r}") from error


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
