"""Logos that are taken from the archives: ``logo.jpg``, where a description names no logo.

Takes what reading the archive has kept of that file, and reads it again only for a large one that is not mirrored yet.
A logo that is no JPEG, or far too large, is left alone with a warning: it is no reason for a conversion to fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from knossos.errors import KnossosError
from knossos.packaging.archives import Inspection, read_entry
from knossos.packaging.assembly import Assembly
from knossos.packaging.conversion.acquire import Acquirer, Source
from knossos.packaging.conversion.items import Bundle
from knossos.packaging.conversion.pipeline import Outcome
from knossos.packaging.description import ConversionRequest
from knossos.packaging.mirror import Mirror
from knossos.packaging.tree import Origin

#: Largest logo in bytes.
MAX_LOGO_BYTES = 8 * 1024 * 1024

_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Logo:
    """A logo as a file that is here."""

    path: Path
    md5: str
    sha256: str


def find_logos(
    request: ConversionRequest,
    assemblies: Sequence[Assembly],
    bundles: Sequence[Bundle],
    found: Outcome[Source, Inspection | None],
    acquirer: Acquirer,
) -> dict[int, Logo]:
    """The logos by the index of their mod. Without a mirror there is nowhere to put them, and so there are none."""
    logos: dict[int, Logo] = {}
    if acquirer.mirror is None:
        return logos
    for number, assembly in enumerate(assemblies):
        origin = assembly.logo
        if origin is None:
            continue
        key = (number, origin.package, origin.file)
        bundle = next(bundle for bundle in bundles if any(item.key == key for item in bundle.items))
        try:
            sources = [found.got[item.key] for item in bundle.items]
            inspection = found.read[bundle.first.key]
            logos[number] = _logo(origin, bundle, sources, inspection, acquirer.mirror, acquirer)
        except (KnossosError, OSError) as error:
            acquirer.reporter.warning(f"{request.mods[number].id}: {origin.placed} is not taken as its logo: {error}")
    return logos


def _logo(
    origin: Origin,
    bundle: Bundle,
    sources: Sequence[Source],
    inspection: Inspection | None,
    mirror: Mirror,
    acquirer: Acquirer,
) -> Logo:
    mirrored = mirror.index.find(origin.sha256)
    if mirrored is not None and mirrored.path.endswith(f"{origin.sha256}.jpg"):
        return Logo(mirror.root / mirrored.path, origin.md5, origin.sha256)
    if origin.size > MAX_LOGO_BYTES:
        raise KnossosError(f"it is larger than {MAX_LOGO_BYTES} bytes")
    if origin.name is None or inspection is None:
        data = sources[0].path.read_bytes()
    elif origin.name in inspection.captured:
        data = inspection.captured[origin.name]
    else:  # larger than what is kept of an inspection, or it got its name by an action
        archive = acquirer.readable(bundle, sources)
        data = read_entry(
            archive,
            origin.name,
            MAX_LOGO_BYTES,
            limits=acquirer.limits,
            sevenzip=acquirer.sevenzip,
            check=acquirer.check,
        )
    if not data.startswith(_JPEG):
        raise KnossosError("it is no JPEG image")
    path = acquirer.workspace / f"{origin.sha256}.jpg"
    path.write_bytes(data)
    return Logo(path, origin.md5, origin.sha256)
