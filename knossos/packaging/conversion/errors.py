"""Why a conversion failed: all of its reasons at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from knossos.errors import KnossosError
from knossos.packaging.conversion.items import Item


class ConversionFailed(KnossosError):
    """Files could not be had or read, or a mod could not be put together.

    ``files`` lists ``{"file", "mod", "package", "code", "message", ...}``, ``mods`` lists
    ``{"mod", "code", "message", ...}``; further keys are the details of the error.
    """

    code = "conversion_failed"
    #: Downloads were tried often enough, and an archive does not get better.
    retryable = False


@dataclass(frozen=True)
class FileFailure:
    item: Item
    error: KnossosError

    @property
    def text(self) -> str:
        """The reason, with the name of the file in front unless it says it itself."""
        message = self.error.message
        return message if self.item.file.filename in message else f"{self.item.label}: {message}"

    @property
    def sentence(self) -> str:
        """The reason in one line, for the file's row: of links why they failed, else the first sentence of the text."""
        if links := self.error.details.get("links"):
            return "; ".join(dict.fromkeys(str(link["reason"]).removeprefix(f"{link['url']}: ") for link in links))
        first = self.text.splitlines()[0].rstrip()
        return f"{first[:-1]}." if first.endswith(":") else first

    def as_json(self) -> dict[str, Any]:
        return {
            **self.error.details,
            "file": self.item.file.filename,
            "mod": self.item.mod.id,
            "package": self.item.package.name,
            "code": self.error.code,
            "message": self.text,
        }


@dataclass(frozen=True)
class ModFailure:
    mod: str
    error: KnossosError

    def as_json(self) -> dict[str, Any]:
        return {**self.error.details, "mod": self.mod, "code": self.error.code, "message": self.error.message}


def files_failed(failures: Sequence[FileFailure], files: int) -> ConversionFailed:
    lines = [failure.text for failure in failures]
    head = [] if len(failures) == 1 else [f"{len(failures)} of {files} files failed."]
    return ConversionFailed("\n".join([*head, *lines]), files=[failure.as_json() for failure in failures], mods=[])


def mods_failed(failures: Sequence[ModFailure]) -> ConversionFailed:
    lines = [f"{failure.mod}: {failure.error.message}" for failure in failures]
    return ConversionFailed("\n".join(lines), files=[], mods=[failure.as_json() for failure in failures])
