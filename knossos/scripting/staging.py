"""The folders of a run, made before it starts: its directory with what belongs in it, SHARED_DIR, and its own /tmp.

A run in a folder that is there already, such as a home, gets that one as it is, and nothing is put into it.

Paths of the operator's (the home template, the folder to copy) are copied as they are, links as links; files that came
with a call lie in the plan's folder for them under names that were checked when the plan was made.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from knossos.errors import KnossosError
from knossos.jobs.removal import remove_tree
from knossos.scripting.plan import RunPlan
from knossos.storage import NoSuchObject, Storage

#: Names of run directories in a folder of the operator's begin with this.
PARENT_PREFIX = "knossos-run-"
#: What the LinkAhead client reads in its HOME to know where the server is.
CLIENT_SETTINGS = ".pylinkahead.ini"


class CannotStage(KnossosError):
    """The folders of a run cannot be made: something is missing, the disk is full, or the storage away."""

    code = "cannot_stage"


@dataclass(frozen=True)
class Stage:
    """The folders of one run, on this machine."""

    #: The run's directory: working directory and HOME.
    folder: Path
    shared: Path
    temporary: Path
    #: What the program reads on its standard input; None: nothing.
    stdin: Path | None = None
    #: False: the run's directory was there before, and stays.
    is_ours: bool = True

    def remove(self) -> None:
        """Remove what does not go with the job's workspace."""
        if self.is_ours and self.folder.name.startswith(PARENT_PREFIX):
            with contextlib.suppress(OSError):  # the daily clean-up tries again
                remove_tree(self.folder)


def stage(plan: RunPlan, workspace: Path, shared_name: str, storage: Storage) -> Stage:
    """Make the folders of a run.

    Raises:
        CannotStage
    """
    stdin = workspace / "stdin" if plan.stdin_key else None
    if plan.folder:
        return _stage_in(
            Stage(Path(plan.folder), *_beside(workspace, shared_name), stdin, is_ours=False), plan, storage
        )
    folder = Path(plan.parent, PARENT_PREFIX + plan.run_id) if plan.parent else workspace / "run"
    made = Stage(folder, *_beside(workspace, shared_name), stdin)
    try:
        made.remove()  # of an earlier try, whose worker was lost
        for path in (made.folder, made.shared, made.temporary):
            path.mkdir(parents=path != folder or not plan.parent)
        _fetch_stdin(made, plan, storage)
        if plan.template:
            shutil.copytree(plan.template, folder, symlinks=True, dirs_exist_ok=True)
        for name in plan.folders:
            (folder / name).mkdir(exist_ok=True)
        if plan.inputs:
            uploads = folder / plan.inputs_folder
            uploads.mkdir(exist_ok=True)
            for file in plan.inputs:
                storage.fetch(file.key, uploads / file.name)
    except (OSError, shutil.Error, KnossosError) as error:
        made.remove()
        reason = _reason(error)
        raise CannotStage(f"The folder of this run cannot be made: {reason}.") from error
    return made


def _reason(error: Exception) -> str:
    if isinstance(error, KnossosError):
        return "the files that came with the call cannot be read"
    # One of many files has no one reason.
    return error.strerror if isinstance(error, OSError) and error.strerror else "its template cannot be copied"


def _beside(workspace: Path, shared_name: str) -> tuple[Path, Path]:
    return workspace / "shared" / shared_name, workspace / "tmp"


def _stage_in(made: Stage, plan: RunPlan, storage: Storage) -> Stage:
    """Make what a run needs beside a folder that is there."""
    if made.folder.is_symlink() or not made.folder.is_dir():
        raise CannotStage("The folder of this run is gone.")
    try:
        for path in (made.shared, made.temporary):
            path.mkdir(parents=True)
        _fetch_stdin(made, plan, storage)
    except NoSuchObject as error:
        raise CannotStage("What was sent for this run is not stored any more.") from error
    except OSError as error:
        raise CannotStage(f"What this run needs cannot be made: {error.strerror}.") from error
    return made


def _fetch_stdin(made: Stage, plan: RunPlan, storage: Storage) -> None:
    if made.stdin is not None:
        storage.fetch(plan.stdin_key, made.stdin)


def tell_client(folder: Path, server_url: str) -> None:
    """Tell the LinkAhead client where the server is, unless the home template does."""
    file = folder / CLIENT_SETTINGS
    if not file.exists() and not file.is_symlink():
        file.write_text(f"[Connection]\nurl = {server_url}\n", "utf-8")
