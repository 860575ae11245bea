"""Gives each target the place that it runs in, and takes it away again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fuzz.arena import Arena
from fuzz.campaign import Taker
from fuzz.deployment import Deployment
from fuzz.targets import Place, load


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for all temporary files of this process, which goes with all that is left in it."""
    before, folder = tempfile.tempdir, Path(tempfile.mkdtemp(prefix="knossos-fuzz-"))
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder)


class Places:
    """Use as a context manager. All targets that need a deployment get the same one."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._deployment: Deployment | None = None

    def __enter__(self) -> Places:
        self._stack.enter_context(scratch())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def taker(self, name: str) -> Iterator[Taker]:
        """What takes the inputs of a target."""
        target = load(name)
        if target.PLACE is Place.PROCESS:
            with Arena(name) as arena:
                yield arena
            return
        if self._deployment is None:
            self._deployment = self._stack.enter_context(Deployment())
        yield self._deployment.taker(target.make(self._deployment))
