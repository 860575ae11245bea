"""What an answer means for a file: pure decisions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from knossos.client.tools.mirror_check import Answer
from knossos.client.tools.mirror_links import ListedFile, ListedMod

#: Seconds until the headers are here, from which on a mirror counts as slow.
SLOW_SECONDS = 5.0

_HEX = re.compile(r'(?:W/)?"?([0-9a-fA-F]{32}|[0-9a-fA-F]{64})"?')


class State(StrEnum):
    #: It would give a file, of the right size where both sizes are known.
    GOOD = "good"
    #: Good, but it took long to answer.
    SLOW = "slow"
    #: It gives something of another size, or a web page.
    WRONG = "wrong"
    #: It gives nothing.
    DEAD = "dead"

    @property
    def is_broken(self) -> bool:
        return self in (State.WRONG, State.DEAD)


@dataclass(frozen=True)
class Verdict:
    state: State
    #: For people; "" where there is nothing to say.
    text: str
    answer: Answer


@dataclass(frozen=True)
class FileReport:
    package: str
    file: ListedFile
    links: tuple[Verdict, ...]

    @property
    def is_lost(self) -> bool:
        """Whether no link gives it."""
        return all(link.state.is_broken for link in self.links)

    @property
    def is_whole(self) -> bool:
        return not any(link.state.is_broken for link in self.links)


@dataclass(frozen=True)
class ModReport:
    mod: ListedMod
    files: tuple[FileReport, ...]

    @property
    def is_broken(self) -> bool:
        return bool(self.mod.problems) or not all(file.is_whole for file in self.files)


def judge(mods: Sequence[ListedMod], answers: Mapping[str, Answer]) -> list[ModReport]:
    """Put what the links said beside what the repository says of their files."""
    return [
        ModReport(
            mod,
            tuple(
                FileReport(package, file, tuple(verdict(file, answers[url]) for url in file.urls))
                for package, file in mod.files
            ),
        )
        for mod in mods
    ]


def verdict(file: ListedFile, answer: Answer) -> Verdict:
    if answer.problem:
        return Verdict(State.DEAD, answer.problem, answer)
    if file.size is not None and answer.size is not None and file.size != answer.size:
        return Verdict(
            State.WRONG, f"it gives {answer.size:,} bytes, the repository says {file.size:,}", answer
        )  # fmt: skip
    if answer.is_page and not file.name.lower().endswith((".html", ".htm")):
        return Verdict(State.WRONG, "it gives a web page, not the file", answer)
    notes = []
    if answer.size is None:
        notes.append("its size is not said")
    found = _HEX.fullmatch(answer.etag.strip())
    if found and found.group(1).lower() in (file.md5, file.sha256):
        notes.append("its ETag is the file's checksum")
    if answer.seconds >= SLOW_SECONDS:
        notes.append(f"it took {answer.seconds:.1f} s to answer")
        return Verdict(State.SLOW, "; ".join(notes), answer)
    return Verdict(State.GOOD, "; ".join(notes), answer)
