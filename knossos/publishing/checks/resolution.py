"""Whether there is one version of every mod that satisfies all who need it, as a client would have to find it.

A search: the newest version that fits is tried first, and given up where what it needs itself does not fit. Bounded,
so that no repository can keep it busy; where the bound is reached, the answer is "nothing found to be wrong".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from knossos.packaging.description.versions import parse_spec
from knossos.publishing.checks.repository import RETAIL, KnownRelease, Repository, Requirement

#: Bounds of one search: versions that are tried, mods that are chosen, needs that are looked at all in all.
MOST_TRIALS, MOST_MODS, MOST_LOOKS = 2000, 300, 2_000_000


@dataclass(frozen=True)
class Conflict:
    """No version of ``mod_id`` satisfies all of these."""

    mod_id: str
    requirements: tuple[Requirement, ...]


@dataclass
class Resolution:
    """The outcome of a search."""

    conflict: Conflict | None = None
    #: Of mods that others need: what is not there in any version that fits.
    absent: set[Requirement] = field(default_factory=set)
    #: Who, among the mods that are needed, needs the release itself.
    cycles: set[str] = field(default_factory=set)


def matching(requirement: Requirement, releases: Iterable[KnownRelease]) -> list[KnownRelease]:
    """The releases whose version a requirement accepts; ones that are offered before those that were yanked.

    Raises:
        ValueError: its version is no spec.
    """
    if requirement.version is None:
        found = list(releases)
    else:
        spec = parse_spec(requirement.version)
        found = [release for release in releases if spec.match(release.order)]
    return sorted(found, key=lambda release: release.yanked)


def resolve(own_id: str, requirements: Sequence[Requirement], repository: Repository) -> Resolution:
    """Look for one version of each mod. ``own_id`` is the mod that is being released."""
    search = _Search(own_id, repository)
    if not search.settle(list(requirements), {}):
        search.outcome.conflict = search.worst
    return search.outcome


class _Search:
    def __init__(self, own_id: str, repository: Repository) -> None:
        self._own_id = own_id
        self._repository = repository
        self._trials = self._looks = 0
        self._known: dict[Requirement, list[KnownRelease]] = {}
        self.outcome = Resolution()
        #: The clash of the fewest, which is the easiest to understand.
        self.worst: Conflict | None = None

    def settle(self, wanted: list[Requirement], chosen: dict[str, KnownRelease]) -> bool:
        """Choose a version for every mod in ``wanted`` that has none; whether that was possible."""
        open_ids = dict.fromkeys(one.mod_id for one in wanted if one.mod_id not in chosen and self._counts(one))
        if not open_ids:
            return True
        mod_id = next(iter(open_ids))
        for candidate in self._candidates(mod_id, wanted):
            everything = list(dict.fromkeys([*wanted, *self._needs_of(mod_id, candidate, wanted)]))
            self._trials += 1
            self._looks += len(everything)
            if self._trials > MOST_TRIALS or len(chosen) > MOST_MODS or self._looks > MOST_LOOKS:
                return True
            now = {**chosen, mod_id: candidate}
            if self._agree(now, everything) and self.settle(everything, now):
                return True
        return False

    def _counts(self, requirement: Requirement) -> bool:
        """Whether it is one to choose a version for: of what is not there at all nothing can be chosen."""
        if requirement.mod_id == self._own_id:
            self.outcome.cycles.add(requirement.wanted_by)
            return False
        if self._matching(requirement):
            return True
        if requirement.mod_id not in RETAIL:
            self.outcome.absent.add(requirement)
        return False

    def _candidates(self, mod_id: str, wanted: Sequence[Requirement]) -> list[KnownRelease]:
        mine = [one for one in wanted if one.mod_id == mod_id and self._matching(one)]
        accepted = [self._matching(one) for one in mine]
        fitting = [set(found) for found in accepted[1:]]
        common = [release for release in accepted[0] if all(release in found for found in fitting)]
        if not common:
            self._note(mod_id, mine)
        return common

    def _agree(self, chosen: dict[str, KnownRelease], wanted: Sequence[Requirement]) -> bool:
        for one in wanted:
            version, accepted = chosen.get(one.mod_id), self._matching(one)
            if version is not None and accepted and version not in accepted:
                self._note(one.mod_id, [other for other in wanted if other.mod_id == one.mod_id])
                return False
        return True

    def _note(self, mod_id: str, requirements: Sequence[Requirement]) -> None:
        if self.worst is None or len(requirements) < len(self.worst.requirements):
            self.worst = Conflict(mod_id, tuple(requirements))

    def _needs_of(self, mod_id: str, release: KnownRelease, wanted: Sequence[Requirement]) -> list[Requirement]:
        """What a client would install along: the required and recommended packages, and those that are asked for."""
        named = {name for one in wanted if one.mod_id == mod_id for name in one.packages}
        packages = self._repository.packages(mod_id, release.version)
        chosen = [package for package in packages if package.status != "optional" or package.name in named]
        return [requirement for package in chosen for requirement in package.requirements]

    def _matching(self, requirement: Requirement) -> list[KnownRelease]:
        if requirement not in self._known:
            try:
                found = matching(requirement, self._repository.releases(requirement.mod_id))
            except ValueError:  # of a release that is older than the rules
                found = []
            self._known[requirement] = found
        return self._known[requirement]
