"""How a tool ends when not all is well."""

from __future__ import annotations

from knossos.errors import KnossosError


class ToolFailed(KnossosError):
    """Something that the tool was asked for is not good, or could not be done. The rest was done and written."""

    code = "tool_failed"
