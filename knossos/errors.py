"""The one root of every error that Knossos raises on purpose, and the exit codes of its processes.

A subclass exists where a caller acts differently on it. Each carries the ids of what it speaks of as
attributes, says in its text what was expected, and pickles. Nothing here knows HTTP: each process maps
these to its own codes in one table.
"""

from __future__ import annotations

from typing import Any, Self

#: The process ended because it was asked to.
EXIT_OK = 0
#: The process ended on an error that nobody foresaw.
EXIT_CRASH = 1
#: A setting is wrong; the message names it and says what it should be.
EXIT_BAD_SETTINGS = 2
#: Something that is needed does not answer or is not installed (Redis, 7-Zip, ...).
EXIT_MISSING = 3


class KnossosError(Exception):
    """Root of all errors that are raised on purpose. Its text may be shown to the user who caused it.

    ``code`` is a stable word for programs; ``details`` are the ids the error speaks of (JSON-ready).
    Subclasses pass their ids as keyword arguments; they become attributes.
    """

    code = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __getattr__(self, name: str) -> Any:
        details = self.__dict__.get("details", {})
        if name in details:
            return details[name]
        raise AttributeError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.details)


def _rebuild(kind: type[KnossosError], message: str, details: dict[str, Any]) -> KnossosError:
    return kind(message, **details)


class SettingsError(KnossosError):
    """A setting has the wrong name, type or value. ``setting`` is its name."""

    code = "bad_settings"


class MissingDependency(KnossosError):
    """Something outside of this process is needed and is not there. ``needed`` names it."""

    code = "missing"


class InvalidInput(KnossosError):
    """What a user sent breaks a rule. ``errors`` is a list of ``{"path", "message"}``."""

    code = "invalid_input"

    def __init__(self, message: str, **details: Any) -> None:
        details.setdefault("errors", [])
        super().__init__(message, **details)

    @classmethod
    def at(cls, path: str, message: str, **details: Any) -> Self:
        """What is wrong with one field; ``path`` is where it is, "" for all that was sent."""
        text = f"{path}: {message}" if path else message
        return cls(text, errors=[{"path": path, "message": message}], **details)


class AccessDenied(KnossosError):
    """The caller may not do that."""

    code = "access_denied"


class NotFound(KnossosError):
    """The thing that was asked for does not exist, or the caller may not know that it does."""

    code = "not_found"
