"""XML that comes in (the input of calculations) and XML that goes out (LinkAhead's answers of what a script said)."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from lxml import etree

from fuzz.crashes import Broken, CrashKind
from fuzz.mutation import mutated, text
from fuzz.targets import Place
from knossos.errors import KnossosError
from knossos.scripting.calculations.input import check_xml
from knossos.web.linkahead import documents

PLACE = Place.PROCESS

SEEDS = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<input><atom name="Fe" x="0.0"/><k-points>4 4 4</k-points></input>',
    b'<input xmlns="urn:a" xmlns:b="urn:b"><b:c d=\'1\'><![CDATA[<x>]]></b:c><!-- c --><?p i?></input>',
    b'<!DOCTYPE i [<!ELEMENT i ANY><!ATTLIST i a CDATA #IMPLIED>]><i a="1">&amp;&#65;&#x42;</i>',
    b'<!DOCTYPE i [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]><i>&c;</i>',
    b'<!DOCTYPE i [<!ENTITY x SYSTEM "file:///etc/passwd">]><i>&x;</i>',
    b'<!DOCTYPE i SYSTEM "http://127.0.0.1:9/x.dtd"><i/>',
    b'<!DOCTYPE i [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]><i/>',
    b"<!DOCTYPE i [<!ENTITY % a \"<!ENTITY b 'c'>\"> %a;]><i>&b;</i>",
    b'<i xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd" parse="text"/></i>',
)
#: Encodings that a document may name, known and not.
ENCODINGS = (
    "utf-8",
    "UTF-16",
    "utf-16-le",
    "utf-32",
    "latin-1",
    "iso-8859-15",
    "cp1252",
    "ascii",
    "utf-7",
    "koi8-r",
    "shift_jis",
    "gb18030",
    "big5",
    "hex",
    "rot13",
    "zlib",
    "idna",
    "punycode",
    "undefined",
    "unicode_escape",
    "mbcs",
    "x" * 300,
    "",
)


def inputs(random: Random) -> Iterator[bytes]:
    while True:
        yield document(random)


def document(random: Random) -> bytes:
    """One document, good or bad."""
    data, what = random.choice(SEEDS), random.random()
    if what < 0.15:
        return _nested(random)
    if what < 0.35:
        return _encoded(random, data)
    if what < 0.45:
        return b"<i a='%s'>%s</i>" % (text(random).encode("utf-8", "replace"), text(random).encode("utf-8", "replace"))
    return mutated(random, data, SEEDS)


def _nested(random: Random) -> bytes:
    count = random.choice((10, 255, 256, 257, 5000, 200_000))
    kind = random.randrange(4)
    if kind == 0:
        return b"<a>" * count + b"</a>" * random.choice((0, count))
    if kind == 1:
        return b"<a " + b" ".join(b"b%d='c'" % number for number in range(min(count, 20_000))) + b"/>"
    if kind == 2:
        return b"<" + b"a" * count + b"/>"
    return (
        b"<!DOCTYPE a [" + b"<!ELEMENT a (" + b"(" * min(count, 50_000) + b"b" + b")" * min(count, 50_000) + b")>]><a/>"
    )


def _encoded(random: Random, data: bytes) -> bytes:
    name = random.choice(ENCODINGS)
    plain = data.decode("ascii").partition("?>\n")[2] or data.decode("ascii")
    declared = f'<?xml version="1.0" encoding="{name}"?>{plain}ä€'
    written = random.choice((name, "utf-8", "utf-16", "latin-1"))
    try:
        codecs.lookup(written)
        return declared.encode(written, "replace")
    except (LookupError, ValueError):
        return declared.encode("utf-8")


def make(folder: Path) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        _come_in(data)
        _go_out(data)

    return take


def _come_in(data: bytes) -> None:
    try:
        check_xml(data)
    except KnossosError as error:
        str(error).encode("utf-8")
        return
    # What is accepted, programs read with whatever parser they have, with all that it does by itself.
    tree = etree.fromstring(data, etree.XMLParser(resolve_entities=True, load_dtd=True, no_network=True, recover=True))
    if tree is not None and len(etree.tostring(tree)) > 20 * len(data) + 1000:
        raise Broken(CrashKind.MEMORY, "an accepted document grows as it is read")


def _go_out(data: bytes) -> None:
    said = data.decode("utf-8", "surrogateescape")
    answer = documents.response(
        documents.text_element("stdout", said),
        documents.element("script", {"call": said}),
        documents.text_element("b", said),
    )
    root = etree.fromstring(answer.encode("utf-8"), etree.XMLParser(huge_tree=True))
    if root.tag != "Response" or len(root) != 3:
        raise Broken(CrashKind.ERROR, "a text got out of its element")
