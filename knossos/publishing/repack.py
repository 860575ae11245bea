"""Packing the archives of a release anew, so that unpacking alone puts every file where it belongs.

Owns the work on disk; what is to be done is decided in `layout.py`. What always holds: a new archive is inspected, and
holds exactly the planned files with the sums that they had in the old one; the same release gives the same bytes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from knossos.errors import KnossosError
from knossos.packaging.archives import Inspections, Limits, LinkKind, SevenZip, inspect_archive
from knossos.packaging.archives.packing import pack_7z, pack_tar_gz, unpack
from knossos.packaging.reporting import Reporter
from knossos.publishing.checks import StoredFiles
from knossos.publishing.documents import DocumentFile, ReleaseDocument
from knossos.publishing.layout import Repacking, with_repacked
from knossos.settings import Settings

_PIECE_BYTES = 1024 * 1024


class RepackFailed(KnossosError):
    """A new archive does not hold what it should. ``archive`` is its name."""

    code = "repack_failed"
    retryable = False


@dataclass(frozen=True)
class Packed:
    """A new archive that waits to be stored."""

    path: Path
    sha256: str
    size: int


class Repacker:
    """``path_of`` gives the stored file with a SHA-256 on disk; ``workspace`` is a private folder."""

    def __init__(
        self, settings: Settings, reporter: Reporter, workspace: Path, path_of: Callable[[str], Path]
    ) -> None:  # fmt: skip
        self._limits = Limits.from_settings(settings)
        self._sevenzip = SevenZip.locate(settings)
        self._inspections = Inspections(settings)
        self._reporter = reporter
        self._workspace = workspace
        self._path_of = path_of

    def carry_out(
        self, document: ReleaseDocument, plan: Sequence[Repacking], stored: StoredFiles
    ) -> tuple[ReleaseDocument, list[Packed]]:
        """Do all that is planned.

        Returns:
            The release as it can be published, and the archives that have to be stored before.

        Raises:
            RepackFailed, ArchiveError
        """
        made: list[Packed] = []
        for number, step in enumerate(plan):
            old = document.packages[step.package].files[step.file]
            if step.dest is not None:
                self._reporter.info(
                    f'{old.filename}: is unpacked to "{step.dest}" now, so that nothing has to be moved'
                )
                document = with_repacked(document, step)
                continue
            self._reporter.info(f"{old.filename}: is packed anew as {step.filename}, so that nothing has to be moved")
            packed = self._pack(old, step, stored, self._workspace / f"repack-{number}")
            made.append(packed)
            document = with_repacked(document, step, packed.sha256, packed.size)
        return document, made

    def _pack(self, old: DocumentFile, step: Repacking, stored: StoredFiles, folder: Path) -> Packed:
        tree, scratch = folder / "tree", folder / "scratch"
        for place in (tree, scratch):
            place.mkdir(parents=True)
        inspection = stored[step.package, step.file].inspection
        source = self._path_of(old.checksum[1])
        wanted: dict[str, list[Path]] = {}
        for path, name in step.contents.items():
            wanted.setdefault(name, []).append(tree / path)
        if inspection is None:
            for target in (target for targets in wanted.values() for target in targets):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        else:
            unpack(
                source, wanted, inspection, scratch,
                limits=self._limits, sevenzip=self._sevenzip, name=old.filename, check=self._reporter.check,
            )  # fmt: skip
        for path, target_of_link in step.links.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).symlink_to(target_of_link)
        shutil.rmtree(scratch, ignore_errors=True)
        # Called after nothing but its kind: its name comes from outside.
        target = folder / ("packed.tar.gz" if step.links else "packed.7z")
        if step.links:
            pack_tar_gz(tree, target, check=self._reporter.check)
        else:
            pack_7z(tree, target, limits=self._limits, sevenzip=self._sevenzip, check=self._reporter.check)
        shutil.rmtree(tree)
        sums = {old.filename: old.checksum[1]}
        if inspection is not None:
            sums = {entry.name: entry.sha256 for entry in inspection.entries}
        return self._verified(target, step, {path: sums[name] for path, name in step.contents.items()})

    def _verified(self, target: Path, step: Repacking, wanted: dict[str, str]) -> Packed:
        found = inspect_archive(
            target, limits=self._limits, sevenzip=self._sevenzip, check=self._reporter.check, name=step.filename
        )  # fmt: skip
        links = {link.name for link in found.links if link.kind is LinkKind.SYMLINK}
        if {entry.name: entry.sha256 for entry in found.entries} != wanted or links != set(step.links):
            raise RepackFailed(
                f"{step.filename}: packed anew, it does not hold what it should; pack it yourself so that every file "
                "lies where it is installed, without actions",
                archive=step.filename,
            )
        sums = hashlib.sha256()
        with target.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                self._reporter.check()
                sums.update(piece)
        sha256 = sums.hexdigest()
        self._inspections.save(sha256, found)
        return Packed(target, sha256, target.stat().st_size)
