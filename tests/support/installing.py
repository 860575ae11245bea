"""How the two generations of mod managers install a release, done with the real 7-Zip."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

from knossos.packaging.archives import SevenZip
from knossos.publishing.documents import ReleaseDocument
from knossos.settings import Settings

SEVENZIP = SevenZip.locate(Settings())


def installed_by_net(document: ReleaseDocument, archives: Mapping[str, Path], mod: Path) -> None:
    """As NET does: each archive straight into its ``dest``, and then every listed file is verified."""
    for package in document.packages:
        for file in package.files:
            archive, target = archives[file.checksum[1]], mod / file.dest
            assert hashlib.sha256(archive.read_bytes()).hexdigest() == file.checksum[1]
            assert archive.stat().st_size == file.filesize
            target.mkdir(parents=True, exist_ok=True)
            if file.filename.endswith(".tar.gz"):
                with tarfile.open(archive) as tar:
                    tar.extractall(target, filter="data")
            else:
                subprocess.run([SEVENZIP.program, "x", "-y", "-bso0", f"-o{target}", archive], check=True, timeout=60)
        for entry in package.filelist:
            assert hashlib.sha256((mod / entry.filename).read_bytes()).hexdigest() == entry.checksum[1]


def installed_by_old(document: ReleaseDocument, archives: Mapping[str, Path], mod: Path) -> None:
    """As OLD does: unpacked with 7-Zip elsewhere, then each ``orig_name`` is moved to ``filename``."""
    for package in document.packages:
        for file in package.files:
            temporary = mod.with_name(f"{mod.name}-temporary")
            archive = archives[file.checksum[1]]
            if file.filename.endswith(".tar.gz"):
                with tarfile.open(archive) as tar:
                    tar.extractall(temporary, filter="data")
            else:
                arguments = [SEVENZIP.program, "x", "-y", "-bso0", f"-o{temporary}", archive]
                subprocess.run(arguments, check=True, timeout=60)
            for entry in package.filelist:
                if entry.archive == file.filename:
                    (mod / entry.filename).parent.mkdir(parents=True, exist_ok=True)
                    (temporary / entry.orig_name).rename(mod / entry.filename)
            shutil.rmtree(temporary)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
