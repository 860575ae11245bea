"""A conversion request: the text a user sends becomes mods to package, or a list of everything that is wrong.

A request is ``{"mods": [...], "includes": [...], "remote_includes": [...]}`` or one bare mod. ``includes`` names
further descriptions on this machine and is followed only where the caller says below which folder; without that it is
an error. Nothing else here touches a file, and nothing but ``DescriptionInvalid`` is raised, whatever the text is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from knossos.packaging.description.consistency import repeated_mods, repeated_names
from knossos.packaging.description.includes import read_documents
from knossos.packaging.description.json_text import read_json
from knossos.packaging.description.models import Link, Mod, Part
from knossos.packaging.description.problems import Problem, invalid, join_path, message_of, path_of, problem

Model = TypeVar("Model", bound=Part)


class _Envelope(Part):
    """The keys around the mods. ``includes`` has been followed already when this is checked."""

    mods: list[Any] = Field(default_factory=list)
    includes: list[str] = Field(default_factory=list)
    remote_includes: list[Link] = Field(default_factory=list)


class DescriptionFile(Part):
    """What a description file may hold; for the JSON Schema that editors and pages use."""

    mods: list[Mod] = Field(min_length=1)
    includes: list[str] = Field(default_factory=list)
    remote_includes: list[Link] = Field(default_factory=list)


class ConversionRequest(BaseModel):
    """The mods to package, checked and in today's form, with what the user should be told about the text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mods: list[Mod]
    remote_includes: list[Link] = []
    #: Lines for the log: keys that were left out and the like.
    warnings: list[str] = []

    def as_payload(self) -> dict[str, Any]:
        """The request as plain JSON data; ``from_payload`` reads it back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_payload(cls, payload: Any) -> ConversionRequest:
        """Raises ``DescriptionInvalid``, should the data not be what ``as_payload`` wrote."""
        try:
            return cls.model_validate(payload)
        except ValidationError as error:
            raise invalid(_problems_of("", error)) from error


def parse_request(text: str | bytes, *, allow_includes: Path | None = None) -> ConversionRequest:
    """Read a request.

    Args:
        text: JSON text, as a string or UTF-8 bytes.
        allow_includes: the folder below which ``includes`` may name files; None where they are not allowed.

    Raises:
        DescriptionInvalid: with every problem in ``errors``; ``NotJson`` where the text is no JSON.
    """
    documents, problems = read_documents(read_json(text), allow_includes)
    warnings: list[str] = []
    links: list[str] = []
    mods: list[Mod] = []
    places: list[tuple[str, Any]] = []
    for document in documents:
        envelope, found = _checked(_Envelope, document.path, document.envelope, warnings)
        problems += found
        links += envelope.remote_includes if envelope else []
        places += document.mods
    for path, data in places:
        mod, found = _checked(Mod, path, data, warnings)
        problems += found + repeated_names(path, data)
        if mod:
            mods.append(mod)
    problems += repeated_mods(places)
    if not places and not problems:
        problems.append(problem("mods", "expected at least one mod"))
    if problems:
        raise invalid(problems)
    return ConversionRequest(mods=mods, remote_includes=list(dict.fromkeys(links)), warnings=warnings)


def description_schema() -> dict[str, Any]:
    """The JSON Schema of a description file."""
    return DescriptionFile.model_json_schema()


def _checked(kind: type[Model], path: str, data: Any, warnings: list[str]) -> tuple[Model | None, list[Problem]]:
    """The model of the data, or its problems. Unknown keys are only a warning, and left out."""
    try:
        return kind.model_validate(data), []
    except ValidationError as error:
        unknown = [one for one in error.errors() if one["type"] == "extra_forbidden"]
        warnings += [
            f"{join_path(path, path_of(one['loc']))}: this key is not known and is left out" for one in unknown
        ]
        problems = _problems_of(path, error)
        if problems:
            return None, problems
    return kind.model_validate(data, extra="ignore"), []


def _problems_of(path: str, error: ValidationError) -> list[Problem]:
    return [
        problem(join_path(path, path_of(one["loc"])), message_of(one))
        for one in error.errors()
        if one["type"] != "extra_forbidden"
    ]
