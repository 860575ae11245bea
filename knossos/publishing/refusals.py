"""The refusals of releases and mods that many places speak, with the words that clients act upon."""

from __future__ import annotations

from collections.abc import Sequence

from knossos.packaging.description.problems import invalid, problem
from knossos.publishing.errors import Refused
from knossos.publishing.release_input import UNSUPPORTED_CHECKSUM, InputProblem

#: The words that clients act upon: where there are several problems, the first of these is the reason.
REASONS = ("invalid version", "duplicated version", UNSUPPORTED_CHECKSUM, "urls unauthorized", "archive missing")


def refusal(problems: Sequence[InputProblem]) -> Refused:
    """The refusal that names them all."""
    order = {reason: number for number, reason in enumerate(REASONS)}
    first = min(problems, key=lambda one: order.get(one.reason, len(order)))
    others = [one for one in problems if one is not first]
    shown = invalid([problem(one.path, one.message) for one in (first, *others)])
    return Refused(shown.message, reason=first.reason, extra=first.extra, errors=shown.errors)


def duplicated(mod_id: str, version: str) -> Refused:
    return Refused(f"There is (or was) a version {version} of {mod_id} already.", reason="duplicated version")


def missing(mod_id: str, version: str) -> Refused:
    return Refused(f"There is no version {version} of {mod_id}.", reason="release missing")


def archive_missing(sha256: str, errors: list[dict[str, str]] | None = None) -> Refused:
    return Refused(
        f"The file with the SHA-256 {sha256} is not stored here.",
        reason="archive missing",
        extra={"archive": sha256},
        errors=errors,
    )
