"""What a release needs: mods and packages that exist, in versions that go together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice

from knossos.packaging.description.problems import join_path
from knossos.publishing.checks.findings import Findings
from knossos.publishing.checks.installed import packages_may_meet
from knossos.publishing.checks.repository import RETAIL, KnownRelease, Repository, Requirement
from knossos.publishing.checks.resolution import Conflict, matching, resolve
from knossos.publishing.documents import DocumentDependency, DocumentPackage, ReleaseDocument

_KIND = "problems of dependencies"
#: Pairs of packages that are looked at, to say which two do not go together.
MOST_PAIRS = 500
#: Versions and names that a message lists.
_SHOWN = 5


def check_dependencies(document: ReleaseDocument, repository: Repository, findings: Findings) -> None:
    """Check each dependency by itself, and then whether one version of each mod satisfies all of them."""
    good: list[list[Requirement]] = []
    for number, package in enumerate(document.packages):
        good.append([])
        for index, dependency in enumerate(package.dependencies):
            path = join_path("packages", number, "dependencies", index)
            if _check_one(dependency, path, document, repository, findings):
                good[number].append(_requirement(dependency, package))
    _check_together(document, good, repository, findings)


def check_related_mods(document: ReleaseDocument, repository: Repository, findings: Findings) -> None:
    """The parent and the mods of ``mod_flag`` must exist; retail exists for everybody."""
    needed = {dependency.id for package in document.packages for dependency in package.dependencies}
    if document.parent is not None:
        _check_id(document.parent, "parent", document, repository, findings)
    elif document.type == "mod":
        findings.warning("parents", "parent", 'a mod of the type "mod" has a parent, such as "FS2"')
    for index, mod_id in enumerate(document.mod_flag):
        path = join_path("mod_flag", index)
        if mod_id == document.id:
            continue
        if _check_id(mod_id, path, document, repository, findings) and mod_id not in needed | RETAIL:
            findings.warning("mod flags", path, f"{mod_id} is no dependency, so that it may not be installed")


def _check_id(
    mod_id: str, path: str, document: ReleaseDocument, repository: Repository, findings: Findings
) -> bool:  # fmt: skip
    if mod_id == document.id or mod_id in RETAIL:
        return True
    if not repository.has_mod(mod_id):
        findings.error("unknown mods", path, _no_such_mod(mod_id, repository))
        return False
    releases = () if document.private else repository.releases(mod_id)
    if releases and all(release.private for release in releases):
        text = f"{mod_id} is private: players of this public release cannot have it, and nobody shall learn of it"
        findings.error("private mods", path, text)
        return False
    return True


def _no_such_mod(mod_id: str, repository: Repository) -> str:
    similar = repository.similar_id(mod_id)
    return f'there is no mod "{mod_id}" in the repository' + (f'; there is "{similar}"' if similar else "")


def _check_one(
    dependency: DocumentDependency,
    path: str,
    document: ReleaseDocument,
    repository: Repository,
    findings: Findings,
) -> bool:
    """Whether it can be satisfied, by itself."""
    if dependency.id.casefold() == document.id.casefold():
        findings.error(_KIND, f"{path}.id", "a mod cannot depend on itself")
        return False
    requirement = Requirement(dependency.id, dependency.version, tuple(dependency.packages), "")
    visible = repository.releases(dependency.id)
    try:
        found = matching(requirement, visible)
    except ValueError as error:
        findings.error(_KIND, f"{path}.version", str(error))
        return False
    if not visible:
        if dependency.id in RETAIL:
            return False
        exists = repository.has_mod(dependency.id)
        text = f"{dependency.id} has no release yet" if exists else _no_such_mod(dependency.id, repository)
        findings.error(_KIND, f"{path}.id", text)
        return False
    if not found:
        text = f"no release of {dependency.id} is {dependency.version}; there is {_versions(visible)}"
        findings.error(_KIND, f"{path}.version", text)
        return False
    usable = [release for release in found if document.private or not release.private]
    if not usable:
        text = f"{dependency.id} {found[0].version} is private, so that players of this public release cannot have it"
        findings.error(_KIND, f"{path}.id", text)
        return False
    if usable[0].yanked:
        text = f"{dependency.id} {usable[0].version} was taken back by its authors; nothing newer satisfies this"
        findings.warning("dependencies that were taken back", f"{path}.version", text)
    return _check_packages(dependency, path, usable, repository, findings)


def _check_packages(
    dependency: DocumentDependency, path: str, usable: list[KnownRelease], repository: Repository, findings: Findings
) -> bool:
    """Whether a release that fits has all packages that are named. Old releases are looked at only for that."""
    if not dependency.packages:
        return True
    best: set[str] | None = None
    for release in usable:
        names = {package.name for package in repository.packages(dependency.id, release.version)}
        if names.issuperset(dependency.packages):
            return True
        best = names if best is None else best
    for index, name in enumerate(dependency.packages):
        if name not in (best or set()):
            known = ", ".join(f'"{one}"' for one in sorted(best or set())[:_SHOWN]) or "none"
            text = f'{dependency.id} {usable[0].version} has no package "{name}"; its packages: {known}'
            findings.error(_KIND, f"{path}.packages.{index}", text)
    return False


def _check_together(
    document: ReleaseDocument, good: list[list[Requirement]], repository: Repository, findings: Findings
) -> None:
    together = resolve(document.id, [one for requirements in good for one in requirements], repository)
    for requirement in sorted(together.absent, key=lambda one: (one.mod_id, one.wanted_by)):
        text = f"{requirement.wanted_by} needs {_spoken(requirement)}, which is not in the repository"
        findings.warning("needs of dependencies", "packages", text)
    for who in sorted(together.cycles):
        findings.warning("cycles", "packages", f"{who}, which this release needs, needs {document.id} itself")
    if together.conflict is None:
        return
    may_meet = packages_may_meet(document)
    groups = [(number,) for number in range(len(good))]
    pairs = [pair for pair in islice(combinations(range(len(good)), 2), MOST_PAIRS) if may_meet(*pair)]
    found = False
    for group in (*groups, *pairs):
        if found and len(group) > 1:
            break
        wanted = [one for number in group for one in good[number]]
        conflict = resolve(document.id, wanted, repository).conflict if wanted else None
        if conflict is not None:
            found = True
            path = join_path("packages", group[-1], "dependencies")
            findings.error("dependencies that exclude each other", path, _explained(conflict))
    if not found and len(pairs) == len(good) * (len(good) - 1) // 2:
        findings.error("dependencies that exclude each other", "packages", _explained(together.conflict))


def _explained(conflict: Conflict) -> str:
    wishes = "; ".join(f"{one.wanted_by} needs {_spoken(one)}" for one in conflict.requirements[: 2 * _SHOWN])
    return f"no version of {conflict.mod_id} satisfies all who need it: {wishes}"


def _spoken(requirement: Requirement) -> str:
    return f"{requirement.mod_id} {requirement.version}" if requirement.version else requirement.mod_id


def _requirement(dependency: DocumentDependency, package: DocumentPackage) -> Requirement:
    return Requirement(
        dependency.id, dependency.version, tuple(dependency.packages), f'the package "{package.name}"'
    )  # fmt: skip


def _versions(releases: Sequence[KnownRelease]) -> str:
    shown = [release.version for release in releases][: _SHOWN + 1]
    return ", ".join(shown[:_SHOWN]) + (", ..." if len(shown) > _SHOWN else "")
