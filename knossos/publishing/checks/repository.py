"""What the checks ask the repository: which releases there are for somebody, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from knossos.packaging.description.versions import parse_version

#: Mods that every player has from elsewhere: the retail game is the parent of most, and is not ours to host.
RETAIL = frozenset({"FS2"})


@dataclass(frozen=True)
class KnownRelease:
    """A published version of a mod."""

    version: str
    private: bool = False
    #: Not offered any more, and installable for those who depend on it.
    yanked: bool = False

    @cached_property
    def order(self) -> Any:
        """What versions are compared by."""
        return parse_version(self.version)


@dataclass(frozen=True)
class Requirement:
    """That a mod is needed, in a version and with packages. ``wanted_by`` says who needs it, for people."""

    mod_id: str
    #: None: any.
    version: str | None
    packages: tuple[str, ...]
    wanted_by: str


@dataclass(frozen=True)
class KnownPackage:
    """A package of a published release. ``status``: required, recommended or optional."""

    name: str
    status: str
    requirements: tuple[Requirement, ...] = ()


class Repository(Protocol):
    """The repository as the releaser sees it: everything public, and the private mods in whose teams they are."""

    def releases(self, mod_id: str) -> Sequence[KnownRelease]:
        """The published releases of a mod, the newest version first; none where there is no such mod."""

    def packages(self, mod_id: str, version: str) -> Sequence[KnownPackage]:
        """The packages of one of these releases."""

    def has_mod(self, mod_id: str) -> bool:
        """Whether there is such a mod, with a release or without one."""

    def similar_id(self, mod_id: str) -> str | None:
        """The id of a mod that differs from this one only in case."""

    def image_type(self, sha256: str) -> str | None:
        """The content type of a stored file; None where there is none with this SHA-256."""
