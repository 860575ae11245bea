"""Release documents for tests of their checks, in few words; and a repository that lies in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knossos.packaging.archives import Entry, Inspection, Link
from knossos.packaging.tree import join
from knossos.publishing.checks import KnownPackage, KnownRelease, Requirement, StoredFile
from knossos.publishing.documents import ReleaseDocument


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def inspection_of(
    files: Mapping[str, bytes], *, form: str = "zip", links: Sequence[Link] = (), warnings: Sequence[str] = ()
) -> Inspection:
    """What the inspection of an archive with these files would say."""
    entries = [Entry(name, len(data), hashlib.md5(data).hexdigest(), sha256(data)) for name, data in files.items()]
    total = sum(map(len, files.values()))
    return Inspection(format=form, entries=entries, total_bytes=total, links=list(links), warnings=list(warnings))


@dataclass
class Draft:
    """A document that is being put together, with what would be stored of it."""

    more: dict[str, Any] = field(default_factory=dict)
    packages: list[dict[str, Any]] = field(default_factory=list)
    stored: dict[tuple[int, int], StoredFile] = field(default_factory=dict)

    def package(self, name: str, *archives: tuple[str, Mapping[str, bytes]], **more: Any) -> Draft:
        """Add a package with archives: pairs of a file name and what is in it. ``dest`` holds for all of them."""
        dest = more.pop("dest", "")
        inspected = more.pop("inspections", {})
        files, filelist = [], []
        for filename, contents in archives:
            found = inspected.get(filename) or inspection_of(contents, form=filename.partition(".")[2])
            checksum = ("sha256", sha256(repr((filename, sorted(contents.items()))).encode()))
            self.stored[len(self.packages), len(files)] = StoredFile(1000, found)
            files.append({"filename": filename, "dest": dest, "checksum": checksum, "filesize": 1000})
            filelist += [
                {
                    "filename": join(dest, inside),
                    "archive": filename,
                    "orig_name": inside,
                    "checksum": ("sha256", sha256(data)),
                }
                for inside, data in contents.items()
            ]
        usual = {
            "name": name, "notes": "", "status": "required", "folder": name.lower(), "is_vp": False, "environment": "",
            "dependencies": [], "executables": [], "files": files, "filelist": filelist,
        }  # fmt: skip
        self.packages.append({**usual, **more})
        return self

    @property
    def document(self) -> ReleaseDocument:
        usual = {
            "id": "mymod", "title": "My Mod", "version": "1.0.0", "type": "mod", "parent": "FS2", "private": False,
            "stability": None, "description": "", "notes": "", "cmdline": "", "logo": None, "tile": None,
            "banner": None, "screenshots": [], "attachments": [], "videos": [], "release_thread": None,
            "first_release": "2026-01-01", "last_update": "2026-01-02", "mod_flag": ["mymod"],
        }  # fmt: skip
        return ReleaseDocument.model_validate({**usual, **self.more, "packages": self.packages})


def draft(**more: Any) -> Draft:
    return Draft(more)


class RepositoryInMemory:
    """Releases as ``{"mod 1.0.0": {"package": ["other >=1.0.0", ...]}}``; a package's name may end with ``?``."""

    def __init__(
        self,
        releases: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
        *,
        private: Sequence[str] = (),
        yanked: Sequence[str] = (),
        images: Mapping[str, str] | None = None,
    ) -> None:
        self._releases: dict[str, dict[str, Mapping[str, Sequence[str]]]] = {}
        for name, packages in (releases or {}).items():
            mod_id, version = name.split()
            self._releases.setdefault(mod_id, {})[version] = packages
        self._private, self._yanked = private, yanked
        self._images = images or {}

    def releases(self, mod_id: str) -> list[KnownRelease]:
        found = [
            KnownRelease(version, f"{mod_id} {version}" in self._private, f"{mod_id} {version}" in self._yanked)
            for version in self._releases.get(mod_id, {})
        ]
        return sorted(found, key=lambda release: release.order, reverse=True)

    def packages(self, mod_id: str, version: str) -> list[KnownPackage]:
        return [
            KnownPackage(
                name.rstrip("?"),
                "optional" if name.endswith("?") else "required",
                tuple(self._requirement(needed, f"{mod_id} {version}") for needed in needs),
            )
            for name, needs in self._releases[mod_id][version].items()
        ]

    def has_mod(self, mod_id: str) -> bool:
        return mod_id in self._releases

    def similar_id(self, mod_id: str) -> str | None:
        return next((known for known in self._releases if known.casefold() == mod_id.casefold()), None)

    def image_type(self, sha256: str) -> str | None:
        return self._images.get(sha256)

    def _requirement(self, needed: str, wanted_by: str) -> Requirement:
        mod_id, _, version = needed.partition(" ")
        return Requirement(mod_id, version or None, (), wanted_by)


def needs(*dependencies: str) -> list[dict[str, Any]]:
    """Dependencies such as ``"other >=1.0.0"``, with packages as ``"other >=1.0.0 Core,Extra"``, any version as *."""
    made = []
    for text in dependencies:
        mod_id, version, packages = [*text.split(" "), "", ""][:3]
        made.append(
            {
                "id": mod_id,
                "version": None if version in ("", "*") else version,
                "packages": packages.split(",") if packages else [],
            }
        )
    return made
