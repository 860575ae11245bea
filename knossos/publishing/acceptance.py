"""Whether a release that was sent may be stored, as far as its data, its sender and the stored files tell.

Looks at who sends it, whether its version is free, every field, and whether its images and archives are stored; what is
in the archives and in the repository is checked by a job (`checks`). All problems come out at once. Changes nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from knossos.accounts.tokens import Identity
from knossos.publishing import mods
from knossos.publishing.digests import digest_of
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.errors import NoSuchMod
from knossos.publishing.mods import ModFacts
from knossos.publishing.offering import PUBLISHED
from knossos.publishing.refusals import duplicated, missing, refusal
from knossos.publishing.release_assembly import (
    assemble,
    for_preflight,
    unknown_packages,
    with_stored_files,
    without_files,
)
from knossos.publishing.release_input import InputProblem, mod_id, read_release, sent_version
from knossos.publishing.release_references import look_up, problems_of_references
from knossos.publishing.release_rows import Mode, find
from knossos.publishing.tables import Release, Submission
from knossos.publishing.teams import TeamRole, require

#: What a mod may be.
TYPES = ("mod", "tc", "engine", "tool", "ext")


def accept(
    session: Session,
    identity: Identity,
    data: dict[str, Any],
    mode: Mode,
    today: str,
    new_mod: ModFacts | None = None,
    repeats: bool = False,
) -> ReleaseDocument:
    """The document that would be stored.

    Before an upload (PREFLIGHT) images that are not stored are left out of it, and so are the files, the list of files
    and the executables of packages that are not packed yet. For UPDATE the files are those that the release has.

    Args:
        data: a full mod, as clients send it.
        today: the day in UTC, as YYYY-MM-DD.
        new_mod: what the mod will be, where it is made only when all is well.
        repeats: whether the caller is a job that is run again, and may find stored what it has stored itself.

    Raises:
        NoSuchMod: there is no such mod.
        Refused: ``unauthorized``, ``release missing``, or with every problem: ``duplicated version`` and the others of
            `refusals.REASONS`, or ``invalid`` and the name of a field.
    """
    mod = new_mod or _mod_of(session, identity, data)
    found, problems = _version_in(session, mod, data, mode)
    taken = list(problems)
    known = look_up(session, data)
    known.images.update(look_up(session, {"logo": mod.logo, "tile": mod.tile}).images)
    if mode is Mode.UPDATE and found is not None:
        before = ReleaseDocument.model_validate_json(found.document)
        data = without_files(data)
        if data.get("private") is None:
            data["private"] = before.private  # nobody makes a release public by saying nothing
        problems += unknown_packages(data, before)
    elif mode is Mode.PREFLIGHT:
        data = for_preflight(data, known)
    sent, of_fields = read_release(data)
    problems += of_fields + _problems_of_kin(data, mod)
    if mode is not Mode.PREFLIGHT:
        problems += problems_of_references(data, known, is_operator=identity.is_operator)
    if sent is None or problems != taken:
        raise refusal(problems)
    document = assemble(sent, mod, known, today=today)
    if problems:
        digest = digest_of(identity.user_id, document, mode, sent.actions)
        unanswered = repeats or session.get(Submission, digest) is not None
        if not (unanswered and _is_its_work(found, mode, digest)):
            raise refusal(problems)
    return with_stored_files(document, before) if mode is Mode.UPDATE and found is not None else document


def _mod_of(session: Session, identity: Identity, data: dict[str, Any]) -> ModFacts:
    """The mod, if the caller may publish in it."""
    sent = data.get("id")
    try:
        if not isinstance(sent, str):
            raise ValueError("expected the id of a mod")
        sent = mod_id(sent)
    except ValueError as error:
        of_id = InputProblem("id", str(error), "invalid id")
        raise refusal([of_id, *(one for one in read_release(data)[1] if one.path != "id")]) from error
    try:
        mod = mods.get(session, sent)
    except NoSuchMod as error:
        hint = "A mod is made once before its first release: by mod/create, or on /publish."
        raise NoSuchMod(f"{error.message} {hint}", mod_id=sent) from error
    require(session, identity, mod.id, TeamRole.UPLOADER)
    return mods.facts_of(mod)


def _version_in(
    session: Session, mod: ModFacts, data: dict[str, Any], mode: Mode
) -> tuple[Release | None, list[InputProblem]]:
    """The release that has this version, and what is wrong with that."""
    try:
        version = sent_version(data.get("version"))
    except ValueError:
        return None, []  # found once more with all fields
    found = find(session, mod.id, version)
    if mode is Mode.UPDATE:
        if found is None or found.state != PUBLISHED:
            raise missing(mod.id, version)
        return found, []
    if found is None:
        return None, []
    error = duplicated(mod.id, version)
    return found, [InputProblem("version", error.message, error.reason)]


def _is_its_work(found: Release | None, mode: Mode, digest: str) -> bool:
    """Whether a version is taken by the very same request. It is let through once more while nobody has got the answer
    to it: a client that gave up waiting sends it again."""
    return found is not None and mode is Mode.RELEASE and found.state == PUBLISHED and found.submission == digest


def _problems_of_kin(data: dict[str, Any], mod: ModFacts) -> list[InputProblem]:
    """What a release says of the mod must fit it: its type, and whether it has a parent."""
    problems = []
    kind, parent = data.get("type"), data.get("parent")
    if isinstance(kind, str) and kind in TYPES and kind != mod.type:
        text = f'expected "{mod.type}", which this mod was created as'
        problems.append(InputProblem("type", text, "invalid type"))
    if mod.type == "mod" and parent is None and mod.parent is None:
        text = "expected the id of what this is a mod of, such as FS2"
        problems.append(InputProblem("parent", text, "invalid parent"))
    return problems
