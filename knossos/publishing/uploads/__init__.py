"""Uploads in parts: files of many gigabytes over bad lines, resumable across restarts of everything."""

from knossos.publishing.uploads.plan import PART_BYTES, Plan
from knossos.publishing.uploads.uploads import Started, Uploads

__all__ = ["PART_BYTES", "Plan", "Started", "Uploads"]
