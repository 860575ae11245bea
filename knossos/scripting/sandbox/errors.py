"""What the sandbox raises: it is not there, or it could not do what it was told."""

from __future__ import annotations

from knossos.errors import KnossosError, MissingDependency


class SandboxMissing(MissingDependency):
    """Scripts cannot be shut in on this machine. The text says what to install, or which setting to change."""

    code = "sandbox_missing"


class SandboxFailed(KnossosError):
    """A script could not be started in its sandbox. The text is for the operator: it may name paths."""

    code = "sandbox_failed"
