"""The conversion: a checked request becomes a repository, its archives downloaded, read and mirrored.

``convert`` is the job that workers run; ``package`` is the same without the engine, for the command line.
"""

from __future__ import annotations

from knossos.packaging.conversion.errors import ConversionFailed
from knossos.packaging.conversion.job import convert
from knossos.packaging.conversion.run import Surroundings, package

__all__ = ["ConversionFailed", "Surroundings", "convert", "package"]
