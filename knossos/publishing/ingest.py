"""The job that publishes what a conversion has made, in one step.

Its payload is an `IngestTask`; its result is that of a release, with ``mods``, one entry for each, and paths as in the
conversion (``mods.0.packages...``). Mods that are not there yet are made, and belong to the caller. What always holds:
all mods are checked before the first is stored, so that a conversion with a mistake in one of its mods publishes none
of them; each is then stored in a transaction of its own, and a job that is run again goes on where it was killed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from knossos.accounts.audit import Actor
from knossos.accounts.tokens import Identity, Scope
from knossos.database import of_this_process
from knossos.errors import AccessDenied
from knossos.jobs import JobContext
from knossos.outgoing import OutgoingHttp
from knossos.packaging.description import Problem
from knossos.packaging.description.problems import join_path, problem
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.publishing.converted import full_mod_of
from knossos.publishing.digests import digest_of
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.errors import Refused
from knossos.publishing.known_mods import KnownMods, WithPending
from knossos.publishing.mirrored import MirroredFiles
from knossos.publishing.mods import ModFacts
from knossos.publishing.publisher import Publisher
from knossos.publishing.release_input import read_actions, reason_of
from knossos.publishing.release_job import CheckedRelease, ReleaseTask
from knossos.publishing.releases import Mode

#: What most mods are mods of.
RETAIL_PARENT = "FS2"

#: How much of the job is taking over files, and how much of it is done when all mods are checked.
FILES_SHARE, CHECKED_SHARE = 0.2, 0.7


class IngestTask(BaseModel):
    """What the job is asked to do. ``mods`` are those of the conversion's result."""

    model_config = ConfigDict(frozen=True)

    mods: list[dict[str, Any]]
    #: The public address of the mirror as the conversion saw it.
    mirror_url: str
    identity: Identity
    #: The sender's network address, for the audit log.
    address: str = ""
    dry_run: bool = False


@dataclass(frozen=True)
class Accepted:
    """A mod of the conversion as a release. ``new_mod`` None: the mod is there already."""

    task: ReleaseTask
    new_mod: ModFacts | None


def publish_conversion(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Run the job."""
    task = IngestTask.model_validate(payload)
    database = of_this_process(context.settings)
    http = OutgoingHttp(context.settings)
    try:
        answer = Ingest(task, Publisher(context.settings, database, context.engine), context, http).run()
    finally:
        http.close()
        database.close()
    context.progress(1.0, "Done" if answer["result"] else "Refused")
    return answer


class Ingest:
    def __init__(self, task: IngestTask, publisher: Publisher, context: JobContext, http: OutgoingHttp) -> None:
        settings = context.settings
        mirror = Mirror(settings.mirror_folder, task.mirror_url, MirrorIndex(settings))
        self._task = task
        self._publisher = publisher
        self._context = context
        self._files = MirroredFiles(publisher, mirror, http, task.identity, context)
        self._errors: list[Problem] = []
        self._warnings: list[Problem] = []
        self._reason = ""
        self._done: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        """Take over the files, check everything, and then publish everything."""
        sent = self._take_over_files()
        accepted = [] if self._errors else self._accept(sent)
        releases = [] if self._errors else self._check(accepted)
        if self._errors or self._task.dry_run:
            return self._answer()
        self._publish(accepted, releases)
        return self._answer()

    def _take_over_files(self) -> list[dict[str, Any]]:
        """The mods as they would be sent, with all their files in the storage."""
        sent = []
        for number, mod in enumerate(self._task.mods):
            self._context.progress(FILES_SHARE * number / len(self._task.mods), f"Taking over the files of {mod['id']}")
            images, problems = self._files.take_over(mod)
            self._note(number, problems)
            sent.append(full_mod_of(mod, images))
        return sent

    def _accept(self, sent: Sequence[dict[str, Any]]) -> list[Accepted]:
        identity, mode = self._task.identity, Mode.DRY_RUN if self._task.dry_run else Mode.RELEASE
        accepted = []
        for number, data in enumerate(sent):
            try:
                new_mod = self._new_mod(data)
                document = self._publisher.releases.accept(
                    identity, data, mode=mode, new_mod=new_mod, repeats=self._context.attempt > 1
                )  # fmt: skip
            except Refused as error:
                self._reason = self._reason or error.reason
                if not self._task.dry_run:
                    occurrence = str(self._context.ticket)
                    self._publisher.webhooks.tell_refused(identity, data, error, occurrence=occurrence)
                self._note(number, error.errors or [problem("", error.message)])
                continue
            actions = read_actions(data)
            task = ReleaseTask(
                document=document,
                mode=mode,
                user_id=identity.user_id,
                proof=identity.proof,
                address=self._task.address,
                submission=digest_of(identity.user_id, document, mode, actions),
                actions=actions,
            )
            accepted.append(Accepted(task, new_mod))
        return accepted

    def _new_mod(self, data: dict[str, Any]) -> ModFacts | None:
        """What the mod will be, if it is to be made."""
        mods, mod_id = self._publisher.mods, str(data["id"])
        if mods.find(mod_id) is not None:
            return None
        if mods.is_taken(mod_id):
            raise Refused(f"The id {mod_id} is taken in other case.", reason="duplicated id")
        if Scope.MANAGE not in self._task.identity.scopes:
            text = f"There is no mod {mod_id}, and this token was not given the scope {Scope.MANAGE}, to make it."
            raise Refused(text, reason="unauthorized")
        if data.get("type") == "mod" and not data.get("parent"):
            # What the converter is given often says nothing of it: it was the only one when these were written.
            data["parent"] = RETAIL_PARENT
            self._context.warning(f"{mod_id}: names no parent, and is taken for a mod of {RETAIL_PARENT}")
        return mods.read_new(data)

    def _check(self, accepted: Sequence[Accepted]) -> list[CheckedRelease]:
        """Check all releases, each as if the others were in the repository."""
        documents = [one.task.document for one in accepted]
        known = KnownMods(self._publisher.database, self._task.identity.user_id)
        releases = []
        for number, one in enumerate(accepted):
            others = [document for document in documents if document.id != one.task.document.id]
            release = CheckedRelease(
                one.task,
                self._publisher,
                self._context,
                any_format=True,
                repository=WithPending(known, others),
                workspace=self._context.workspace / f"mod-{number}",
                progress=self._progress(FILES_SHARE, CHECKED_SHARE, number, len(accepted)),
            )
            release.check()
            self._note(number, release.findings.errors)
            self._warnings += _prefixed(number, release.findings.warnings)
            if release.findings:
                release.refuse()
            releases.append(release)
        return releases

    def _publish(self, accepted: Sequence[Accepted], releases: Sequence[CheckedRelease]) -> None:
        identity = self._task.identity
        by = Actor(identity.name, self._task.address)
        for number, (one, release) in enumerate(zip(accepted, releases, strict=True)):
            document = one.task.document
            if one.new_mod is not None:
                try:
                    self._publisher.mods.create(one.new_mod, identity.user_id, by, proof=identity.proof)
                except AccessDenied as error:
                    self._reason = "unauthorized"
                    self._note(number, [problem("", error.message)])
                    return
                except Refused as error:  # somebody else has made it meanwhile
                    self._reason = error.reason
                    self._note(number, [problem("id", error.message)])
                    return
                self._context.info(f"{document.id}: made, with {identity.name} as its owner")
            release.progress = self._progress(CHECKED_SHARE, 1.0, number, len(releases))
            answer = release.publish()
            if not answer["result"]:
                self._reason = answer["reason"]
                self._note(number, answer["errors"] or [problem("", answer["message"])])
                return
            self._done.append(_entry(document, created=one.new_mod is not None))

    def _progress(self, start: float, end: float, number: int, count: int) -> tuple[float, float]:
        """The part of the whole that one mod's share of a step is."""
        each = (end - start) / count
        return start + each * number, start + each * (number + 1)

    def _note(self, number: int, problems: Sequence[Problem]) -> None:
        self._errors += _prefixed(number, problems)

    def _answer(self) -> dict[str, Any]:
        shared = {"errors": self._errors, "warnings": self._warnings, "mods": self._done}
        ticket = self._context.ticket
        if not self._errors:
            return {"result": True, **shared, "ticket": ticket}
        first, more = self._errors[0], len(self._errors) - 1
        message = f"{first['path']}: {first['message']}" + (f" (and {more} more)" if more else "")
        if self._done:
            message += f" Published before that: {', '.join(one['id'] for one in self._done)}."
        reason = self._reason or reason_of(first["path"].split(".", 2)[-1])
        return {"result": False, "reason": reason, "message": message, **shared, "ticket": ticket}


def _entry(document: ReleaseDocument, *, created: bool) -> dict[str, Any]:
    return {"id": document.id, "version": document.version, "created": created}


def _prefixed(number: int, problems: Sequence[Problem]) -> list[Problem]:
    return [problem(join_path("mods", number, one["path"]), one["message"]) for one in problems]
