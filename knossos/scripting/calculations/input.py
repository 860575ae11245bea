"""The ``input.xml`` of a calculation, checked before anything of it is stored. Pure.

A document may declare neither entities nor default values of attributes, nor name a document type elsewhere: that is
what reading files of the machine and expansions without end are made of, for our parser and the program's alike.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NoReturn
from xml.parsers import expat

from knossos.errors import InvalidInput

#: Elements inside each other; libxml2 takes no more either, unless it is told to.
MAX_DEPTH = 256


class BadInput(InvalidInput):
    """A calculation's input is not what it must be."""

    code = "bad_input"


def check_input(sha1: str, data: bytes) -> None:
    """See that a body is the input that its address names, and XML that does no harm.

    Raises:
        BadInput
    """
    found = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if not hmac.compare_digest(found, sha1):
        raise _bad(f"the SHA-1 of this body is {found}, and the address says {sha1}")
    check_xml(data)


def check_xml(data: bytes) -> None:
    """See that it is well-formed XML without entities of its own.

    Raises:
        BadInput
    """
    parser = expat.ParserCreate()
    _Watch(parser)
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise _bad(f"this is no XML: {expat.ErrorString(error.code)}, line {error.lineno}") from error
    except (LookupError, ValueError) as error:
        # An encoding that Python does not know, or that is none for texts.
        raise _bad(f"this is no XML in an encoding that is known here: {error}") from error


class _Watch:
    """Raises at the first thing that an input must not have."""

    def __init__(self, parser: expat.XMLParserType) -> None:
        self._depth = 0
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._entity
        parser.SkippedEntityHandler = self._skipped
        parser.AttlistDeclHandler = self._attribute

    def _begin(self, name: str, attributes: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _bad(f"expected at most {MAX_DEPTH} elements inside each other")

    def _end(self, name: str) -> None:
        self._depth -= 1

    def _doctype(self, name: str, system_id: str | None, public_id: str | None, has_subset: bool) -> None:
        if system_id is not None or public_id is not None:
            raise _bad("expected no document type that lies elsewhere (DOCTYPE with SYSTEM or PUBLIC)")

    def _attribute(self, element: str, name: str, kind: str, default: str | None, is_required: bool) -> None:
        # A long one would come with each of many short elements.
        if default is not None:
            raise _bad("expected no default values of attributes (ATTLIST)")

    def _skipped(self, name: str, is_parameter: bool) -> NoReturn:
        raise _bad(f"expected no entities that are not declared ({'%' if is_parameter else '&'}{name[:100]};)")

    def _entity(self, *declared: object) -> NoReturn:
        raise _bad("expected no declarations of entities (ENTITY)")


def _bad(message: str) -> BadInput:
    text = f"input.xml: {message}"
    return BadInput(f"{text}.", errors=[{"path": "input.xml", "message": message}])
