"""The job that checks a release against its archives and the repository, and publishes it if nothing is wrong.

Its payload is a `ReleaseTask`; its result what the client is answered: ``{"result", "reason", "message", "errors",
"warnings", "ticket"}``. What always holds: nothing is stored of a release with an error; a job that is run again, after
its worker was killed at any moment, ends with the same one release.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from knossos.accounts.audit import Actor
from knossos.accounts.directory import names_of
from knossos.accounts.tokens import Proof
from knossos.database import of_this_process
from knossos.errors import AccessDenied
from knossos.jobs import JobContext
from knossos.packaging.archives import ArchiveError
from knossos.packaging.description import Action, Problem
from knossos.packaging.description.problems import problem
from knossos.publishing.blobs import ANY_FILE
from knossos.publishing.checks import Findings, Repository, StoredFiles, check_release
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.errors import Refused
from knossos.publishing.inspecting import READING_SHARE, Inspector
from knossos.publishing.known_mods import KnownMods
from knossos.publishing.layout import (
    Layout,
    Repacking,
    apply_actions_to,
    plan_repacking,
    with_symlinks_listed,
)
from knossos.publishing.publisher import Publisher
from knossos.publishing.release_input import reason_of
from knossos.publishing.releases import Mode
from knossos.publishing.repack import Repacker, RepackFailed
from knossos.publishing.webhook_events import WebhookEvent

#: Modes that end with something stored.
STORING = frozenset({Mode.RELEASE, Mode.UPDATE})


class ReleaseTask(BaseModel):
    """What the job is asked to do."""

    model_config = ConfigDict(frozen=True)

    document: ReleaseDocument
    mode: Mode
    user_id: int
    #: By what the sender was known; it must still be good when the release is stored.
    proof: Proof = Proof()
    #: Network address of who sent it, for the audit log.
    address: str = ""
    #: What makes it the same request again; see `submissions.py`.
    submission: str
    actions: list[Action] = []


def check_and_publish(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Run the job."""
    task = ReleaseTask.model_validate(payload)
    database = of_this_process(context.settings)
    try:
        release = CheckedRelease(task, Publisher(context.settings, database, context.engine), context)
        release.check()
        if release.findings:
            answer = release.refuse()
        elif task.mode in STORING:
            answer = release.publish()
        else:
            answer = release.answer()
    finally:
        database.close()
    context.progress(1.0, "Done" if answer["result"] else "Refused")
    return answer


class CheckedRelease:
    """One release on its way.

    Args:
        any_format: archives of other formats are packed anew rather than refused.
        repository: what there is, if more than the database knows.
        workspace: a folder of its own, where several are on their way.
        progress: which part of the job this release is, as fractions.
    """

    def __init__(
        self,
        task: ReleaseTask,
        publisher: Publisher,
        context: JobContext,
        *,
        any_format: bool = False,
        repository: Repository | None = None,
        workspace: Path | None = None,
        progress: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.task = task
        self.findings = Findings()
        self.progress = progress
        self._publisher = publisher
        self._context = context
        self._any_format = any_format
        self._repository = repository or KnownMods(publisher.database, task.user_id)
        self._workspace = workspace or context.workspace
        self._workspace.mkdir(parents=True, exist_ok=True)
        self._inspector = Inspector(context.settings, publisher.blobs, _Part(context, self), self._workspace)
        self._stored: StoredFiles = {}
        self._layout = Layout(task.document)
        self._plan: list[Repacking] = []
        with publisher.database.reading() as session:
            self._user = names_of(session, [task.user_id]).get(task.user_id, "")

    def check(self) -> None:
        """Read what is stored, and compare. All that is wrong is in ``findings`` and in the log."""
        document, context = self.task.document, self._context
        context.info(f"Checking {document.title} {document.version} ({document.id})")
        self._stored = self._inspector.look_at(document)
        self.report(READING_SHARE, "Comparing")
        most = context.settings.archive_max_entries
        self._layout = apply_actions_to(document, self._stored, self.task.actions, self.findings, 2 * most)
        check_release(
            self._layout.document,
            self._stored,
            self._repository,
            self.findings,
            all_stored=self.task.mode is not Mode.PREFLIGHT,
            any_format=self._any_format,
            dropped=self._layout.dropped,
        )
        # Of a release that is out the files stay as they are.
        if not self.findings and self.task.mode is not Mode.UPDATE:
            self._layout = with_symlinks_listed(self._layout, self._stored)
            self._plan = plan_repacking(self._layout, self._stored)
            for step in self._plan:
                file = document.packages[step.package].files[step.file].filename
                how = f'is unpacked to "{step.dest}"' if step.dest is not None else f"is packed anew as {step.filename}"
                text = f"{file} {how}, so that unpacking alone puts its files where they belong"
                self.findings.warning("repacking", f"packages.{step.package}.files.{step.file}", text)
        for one in self.findings.warnings:
            context.warning(_line(one))
        for one in self.findings.errors:
            context.error(_line(one))

    def publish(self) -> dict[str, Any]:
        """Pack anew what has to be, store the release, tell everyone who asked to be told."""
        task, context = self.task, self._context
        document = self._layout.document
        if self._plan:
            self.report(READING_SHARE, "Packing archives anew")
            repacker = Repacker(context.settings, context, self._workspace, self._inspector.path_of)
            try:
                document, archives = repacker.carry_out(document, self._plan, self._stored)
            except (ArchiveError, RepackFailed) as error:
                context.error(error.message)
                return self.answer("repack failed", error.message, [problem("packages", error.message)])
            for packed in archives:
                self._publisher.blobs.adopt(
                    packed.path, sha256=packed.sha256, size=packed.size, content_type=ANY_FILE, owner_id=task.user_id
                )  # fmt: skip
                packed.path.unlink()
        context.check()
        self.report(0.98, "Publishing")
        try:
            by = Actor(self._user, task.address)
            self._publisher.releases.store(
                document, task.user_id, task.mode, submission=task.submission, by=by, proof=task.proof
            )
        except AccessDenied as error:
            context.error(error.message)
            return self.answer("unauthorized", error.message)
        except Refused as error:
            context.error(error.message)
            return {**self.answer(error.reason, error.message, error.errors), **error.extra}
        if task.mode is Mode.RELEASE:
            self._tell(WebhookEvent.RELEASE, {"private": document.private})
            context.info(f"{document.title} {document.version} is published.")
        else:
            context.info(f"What is said of {document.title} {document.version} is changed.")
        return self.answer()

    def refuse(self) -> dict[str, Any]:
        """The answer that says what is wrong; those who asked are told, unless it was only a try."""
        errors = self.findings.errors
        if self.task.mode in STORING:
            self._tell(WebhookEvent.FAILED_VALIDATION, {"private": self.task.document.private, "errors": errors})
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        return self.answer(reason_of(errors[0]["path"]), _line(errors[0]) + more, errors)

    def answer(
        self, reason: str = "", message: str = "", errors: list[Problem] | None = None
    ) -> dict[str, Any]:  # fmt: skip
        """What the client gets. Without a reason it is good news."""
        shared = {"errors": errors or [], "warnings": self.findings.warnings, "ticket": self._context.ticket}
        if reason:
            return {"result": False, "reason": reason, "message": message, **shared}
        return {"result": True, **shared}

    def report(self, fraction: float, text: str) -> None:
        """Say how far this release is."""
        start, end = self.progress
        self._context.progress(start + (end - start) * fraction, text)

    def _tell(self, event: WebhookEvent, details: dict[str, Any]) -> None:
        document = self.task.document
        self._publisher.webhooks.tell(
            event,
            document.id,
            document.version,
            {"title": document.title, "user": self._user, **details},
            occurrence=str(self._context.ticket),
        )


class _Part:
    """The job's reporter for what works on one of several releases."""

    def __init__(self, context: JobContext, release: CheckedRelease) -> None:
        self.debug, self.info, self.warning, self.error = context.debug, context.info, context.warning, context.error
        self.files, self.ask, self.check = context.files, context.ask, context.check
        self.progress = release.report


def _line(found: Problem) -> str:
    return f"{found['path']}: {found['message']}" if found["path"] else found["message"]
