"""The next file of one list, made of the one before.

What always holds: the file before is never written to. Once `finish` has returned, the next one is whole and its sum is
known: that of the file before as far as nothing was changed, and the file's own from there. Once `settle` has, it is on
the disk.
"""

from __future__ import annotations

import os
import secrets
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from pathlib import Path

from knossos.publishing.repository import spares
from knossos.publishing.repository.index import BuiltFile, Index, ListName
from knossos.publishing.repository.list_file import HEAD, TAIL, ListFile, joined
from knossos.publishing.repository.resumable_sum import KIND, sum_of_file
from knossos.publishing.repository.spares import Spare

#: The part of a list that may be holes; and how much of them is never worth writing a list anew.
MOST_HOLES = 0.25
FEW_HOLES = 64 * 1024

#: Spares of a list at the most: as many as are published after the present one (`publication.KEPT`), and one.
MOST_SPARES = 3


class ListUpdate:
    """A list in which nothing changes keeps its file. ``stack`` closes what is opened here.

    Args:
        before: the present file; None where there is none to build on.
    """

    def __init__(self, name: ListName, folder: Path, index: Index, before: BuiltFile | None, stack: ExitStack) -> None:
        self._name: ListName = name
        self._folder = folder
        self._index = index
        self._before = before
        self._stack = stack
        self._open: tuple[Path, ListFile] | None = None
        self._settled: Future[None] | None = None
        self._holes = before.holes if before else 0
        #: Where the lines of the file before end; and how many of its bytes are those of the next one as well.
        self._end = before.size - len(TAIL) if before else 0
        self._same = self._end

    def apply(self, release_id: int, entry: bytes | None) -> None:
        """Give a release its line, or none."""
        place = self._index.place(self._name, release_id)
        if place is None and entry is None:
            return
        file = self._file()[1]
        if place is not None:
            file.blank(*place)
            self._same = min(self._same, place[0])
            self._holes += place[1]
            self._index.remove(self._name, release_id)
        if entry is not None:
            self._index.put(self._name, release_id, file.append(entry))

    def finish(self, disk: Executor) -> BuiltFile:
        """The next file. ``disk`` brings it to the disk meanwhile, and after that (`settle`)."""
        if self._before is not None and self._open is None:
            return self._before
        path, file = self._file()
        size = file.finish(self._index.first(self._name))
        if self._holes > max(FEW_HOLES, size * MOST_HOLES):
            path, size = self._compact(path)
        return BuiltFile(
            name=path.name,
            size=size,
            holes=self._holes,
            blake2b=self._sum(path, disk),
            checkpoints=KIND,
            spares=self._spares(),
        )

    def settle(self) -> None:
        """Wait until the disk has the file.

        Raises:
            OSError: it has not.
        """
        if self._settled is not None:
            self._settled.result()

    def _file(self) -> tuple[Path, ListFile]:
        if self._open is None:
            path = self._new_path()
            self._open = path, self._stack.enter_context(self._copy(path))
        return self._open

    def _copy(self, path: Path) -> ListFile:
        if self._before is None:
            return ListFile.create(path)
        source = self._folder / self._before.name
        if stays := spares.take(self._folder, self._before.spares, path):
            return ListFile.of_spare(source, path, stays, self._end)
        return ListFile.clone(source, path, self._end)

    def _compact(self, source: Path) -> tuple[Path, int]:
        """Write the list without its holes."""
        path, places = self._new_path(), self._index.places(self._name)
        parts = joined([(0, len(HEAD)), *((offset, length) for _, offset, length in places)])
        file = self._stack.enter_context(ListFile.of_parts(source, path, parts))
        offset, moved = len(HEAD), []
        for release_id, _, length in places:
            moved.append((release_id, offset))
            offset += length
        self._index.move(self._name, moved)
        self._same = 0
        self._holes = 0
        return path, file.finish(self._index.first(self._name))

    def _sum(self, path: Path, disk: Executor) -> str:
        checkpoint = None
        if self._before is not None and self._before.checkpoints == KIND:
            checkpoint = self._index.checkpoint(self._name, self._same)
        self._settled = disk.submit(_settle, path)
        with open(path, "rb", buffering=0) as file:
            found = sum_of_file(file.fileno(), checkpoint)
        self._index.replace_checkpoints(self._name, found.start, found.passed)
        return found.hexdigest

    def _spares(self) -> tuple[Spare, ...]:
        """Those of the next file. What was changed or taken back must not stay, so then there are none."""
        if self._before is None or self._same < self._end:
            return ()
        last = Spare(name=self._before.name, end=self._end)
        return spares.worth_keeping(self._folder, (last, *self._before.spares), MOST_SPARES)

    def _new_path(self) -> Path:
        return self._folder / f"{self._name}-{secrets.token_hex(8)}.json"


def _settle(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
