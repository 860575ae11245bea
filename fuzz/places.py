"""Gives each target the place that it runs in, and takes it away again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fuzz.arena import Arena
from fuzz.campaign import Taker
from fuzz.deployment import Deployment
from fuzz.interruption import held
from fuzz.rounds import DatabaseKind, Round
from fuzz.targets import Place, load


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for all temporary files of this process and those that it starts, which goes with all that is left in
    it."""
    before, outer = tempfile.tempdir, os.environ.get("TMPDIR")
    folder = Path(tempfile.mkdtemp(prefix="knossos-fuzz-"))
    folder.chmod(0o711)  # PostgreSQL runs as a user of its own, and has a folder in it
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        if outer is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = outer
        if folder.exists():
            shutil.rmtree(folder)


class Places:
    """Use as a context manager. Targets that need a deployment share one for each kind of database."""

    def __init__(self) -> None:
        self._stack, self._of_deployment = ExitStack(), ExitStack()
        self._deployment: Deployment | None = None
        self._database: DatabaseKind | None = None

    def __enter__(self) -> Places:
        self._stack.enter_context(scratch())
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            self._of_deployment.close()

    @contextmanager
    def taker(self, one: Round) -> Iterator[Taker]:
        """What takes the inputs of a round."""
        target = load(one.target)
        if target.PLACE is Place.PROCESS:
            with Arena(one.target) as arena:
                yield arena
            return
        deployment = self._deployment_on(one.database)
        yield deployment.taker(target.make(deployment))

    def _deployment_on(self, database: DatabaseKind | None) -> Deployment:
        if self._deployment is None or database is not self._database:
            self._of_deployment.close()
            self._database = database
            new_database = self._postgres() if database is DatabaseKind.POSTGRESQL else None
            self._deployment = self._of_deployment.enter_context(Deployment(new_database))
        return self._deployment

    def _postgres(self) -> Callable[[], str]:
        """Start a PostgreSQL; what makes a new database in it, and answers the address of that."""
        from tests.support.postgres import Postgres  # only once it is known that all is installed

        with held():
            server = Postgres()
            self._of_deployment.callback(server.remove)
            server.create()
        return server.new_database
