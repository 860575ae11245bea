"""Sizes of the files inside archives that were inspected on this machine, for the trees on result pages."""

from __future__ import annotations

from collections.abc import Mapping

from knossos.packaging.archives import Inspections
from knossos.settings import Settings


class KnownSizes:
    """Callable with an archive's SHA-256; see `knossos.web.result_tree.SizesOf`."""

    def __init__(self, settings: Settings) -> None:
        self._inspections = Inspections(settings)

    def __call__(self, sha256: str) -> Mapping[str, int] | None:
        try:
            inspection = self._inspections.load(sha256)
        except ValueError:
            return None  # no hash at all
        return None if inspection is None else {entry.name: entry.size for entry in inspection.entries}
