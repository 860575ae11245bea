"""Mod descriptions: what a user sends in, checked completely before anything is done with it.

``parse_request`` is the door; everything behind it may rely on the models' rules. Nothing here fetches or unpacks.
"""

from __future__ import annotations

from knossos.packaging.description.models import Action, Dependency, Executable, Mod, ModFile, Package
from knossos.packaging.description.problems import AmbiguousJson, DescriptionInvalid, NotJson, Problem
from knossos.packaging.description.request import ConversionRequest, description_schema, parse_request

__all__ = [
    "Action",
    "AmbiguousJson",
    "ConversionRequest",
    "Dependency",
    "DescriptionInvalid",
    "Executable",
    "Mod",
    "ModFile",
    "NotJson",
    "Package",
    "Problem",
    "description_schema",
    "parse_request",
]
