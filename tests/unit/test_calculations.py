"""What is a calculation's input and what is not, what batch systems say, and the XML of the answers."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from knossos.errors import SettingsError
from knossos.scripting.calculations.input import MAX_DEPTH, BadInput, check_input, check_xml
from knossos.scripting.calculations.states import CalculationState, Report, read_job, read_report
from knossos.settings import ROOT, Settings
from knossos.settings_file import load_settings
from knossos.web import calculation_documents as documents
from knossos.web.calculation_documents import ListedFile

GOOD = [
    b"<input/>",
    b'<?xml version="1.0" encoding="UTF-8"?>\n<?xml-stylesheet href="x.xsl"?><!-- a --><input a="1">&lt;&#65;</input>',
    '<input title="Größe"/>'.encode(),
    '<?xml version="1.0" encoding="ISO-8859-1"?><input title="Größe"/>'.encode("latin-1"),
    '<?xml version="1.0" encoding="UTF-16"?><input/>'.encode("utf-16"),
    b"<!DOCTYPE input [<!ELEMENT input ANY><!ATTLIST input a CDATA #IMPLIED>]><input/>",
    b'<input xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://a/b.xsd"/>',
    b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH,
]
BOMB = b"<!DOCTYPE a [<!ENTITY a 'ha'>" + b"".join(
    b"<!ENTITY a%d '%s'>" % (number, b"&a%d;" % (number - 1) * 10 if number else b"&a;") for number in range(12)
)
BAD = [
    (b"", "no element found"),
    (b"<input>", "no element found"),
    (b"input", "no XML"),
    (b"<a/><b/>", "no XML"),
    (b"<a>&nothing;</a>", "undefined entity"),
    (b"<a>\0</a>", "no XML"),
    (b"<a>\xff</a>", "no XML"),
    (BOMB + b"]><a>&a11;</a>", "ENTITY"),
    (b"<!DOCTYPE a [<!ENTITY a 'x'>]><a>&a;</a>", "ENTITY"),
    (b"<!DOCTYPE a [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><a>&a;</a>", "ENTITY"),
    (b"<!DOCTYPE a [<!ENTITY % a SYSTEM 'http://127.0.0.1/'>%a;]><a/>", "ENTITY"),
    (b"<!DOCTYPE b [<!ATTLIST a x CDATA '" + b"x" * 10_000_000 + b"'>]><b>" + b"<a/>" * 1_000_000 + b"</b>", "ATTLIST"),
    (b"<!DOCTYPE a [%b;]><a>&c;</a>", "[%&][bc];"),
    (b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "SYSTEM"),
    (b"<!DOCTYPE a PUBLIC 'a' 'http://127.0.0.1/'><a/>", "PUBLIC"),
    (b"<a>" * (MAX_DEPTH + 1) + b"</a>" * (MAX_DEPTH + 1), "inside each other"),
    *(
        (b'<?xml version="1.0" encoding="%s"?><a/>' % name, "no XML")
        for name in (b"nothing", b"utf-7", b"hex", b"idna")
    ),
]


@pytest.mark.parametrize("data", GOOD)
def test_xml_without_entities_of_its_own_is_taken(data: bytes) -> None:
    check_input(hashlib.sha1(data).hexdigest(), data)


@pytest.mark.parametrize(("data", "says"), BAD)
def test_what_is_no_xml_or_could_do_harm_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        check_xml(data)


def test_an_input_at_the_address_of_another_is_refused_and_both_are_named() -> None:
    with pytest.raises(BadInput, match=hashlib.sha1(b"<a/>").hexdigest()) as caught:
        check_input("0" * 40, b"<a/>")
    assert "0" * 40 in caught.value.message


@pytest.mark.parametrize(
    ("output", "state", "text"),
    [
        ("queued\n", CalculationState.QUEUED, ""),
        ("running on node 3\nsince noon", CalculationState.RUNNING, "on node 3\nsince noon"),
        ("COMPLETED", CalculationState.FINISHED, ""),
        ("failed: no memory", CalculationState.FAILED, "no memory"),
        ("unknown Slurm does not answer", CalculationState.UNKNOWN, "Slurm does not answer"),
        ('<status state="finished" job="1">all well</status>', CalculationState.FINISHED, "all well"),
        ('<status state="merry">all well</status>', CalculationState.UNKNOWN, None),
        ("<!DOCTYPE a [<!ENTITY a 'b'>]><status state='finished'/>", CalculationState.UNKNOWN, None),
        ("<status", CalculationState.UNKNOWN, None),
        ("Password: ", CalculationState.UNKNOWN, None),
        ("", CalculationState.UNKNOWN, ""),
        ("\x1b[31mboom\0", CalculationState.UNKNOWN, None),
    ],
)
def test_what_a_batch_system_says_is_understood_or_it_has_said_nothing(
    output: str, state: CalculationState, text: str | None
) -> None:
    found = read_report(output)
    assert found.state is state
    if text is not None:
        assert found == Report(state, text)
    documents.status("a", "1", found.state, found.text)


@pytest.mark.parametrize(
    ("output", "job"),
    [
        ("17\n", "17"),
        ("17;cluster", "17;cluster"),
        ("17[].pbs.example.org\n\n", "17[].pbs.example.org"),
        ("Welcome!\nSubmitted batch job 17\n", "17"),
        ("", ""),
        ("Password:", ""),
        ("no such partition", ""),
        ("17$(reboot)", ""),
        ("1" * 200, ""),
    ],
)
def test_the_id_of_a_job_is_found_in_what_startcalc_prints(output: str, job: str) -> None:
    assert read_job(output) == job


def parsed(document: str) -> ET.Element:
    return ET.fromstring(document)


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"plain & <text> ]]>\r\n\ttab"],
        ["Grö".encode()[:3], "Grö".encode()[3:], "\U0001f600".encode()],
        [b"\x1b[31mred"],
        [b"\xff", b"\xfe12345", b"6"],
        [b"cut \xc3"],
        [b"a\0b"],
        [b"\xef\xbf\xbe"],
    ],
)
def test_a_listed_file_comes_back_byte_by_byte(pieces: list[bytes]) -> None:
    document = "".join(documents.files("ab", [ListedFile('a "name" <&>', lambda: pieces), ListedFile("b", lambda: [])]))
    root = parsed(document)
    assert (root.tag, root.get("sha1")) == ("files", "ab")
    first, second = root
    assert (first.get("name"), second.get("name")) == ('a "name" <&>', "b")
    text = first.text or ""
    data = text.encode() if first.get("encoding") == "utf-8" else base64.b64decode(text)
    assert data == b"".join(pieces)
    assert first.get("encoding") == ("utf-8" if is_text(b"".join(pieces)) else "base64")


def is_text(data: bytes) -> bool:
    try:
        return not set(data.decode()) & set("\0\x1b\ufffe")
    except UnicodeDecodeError:
        return False


def test_a_status_has_the_shape_of_the_protocol() -> None:
    root = parsed(documents.status("ab", "17;x", "failed", "a < b\0\n& c"))
    assert (root.tag, root.attrib) == ("status", {"sha1": "ab", "job": "17;x", "state": "failed"})
    assert root.text == "a < b\ufffd\n& c"


@pytest.mark.parametrize(
    ("lines", "setting"),
    [
        ('CALCULATION_COMMAND = ("true",)', "CALCULATION_API_KEYS"),
        (
            'CALCULATION_COMMAND = ("true",)\nCALCULATION_API_KEYS = ("long-enough",)\nCALCULATION_OPEN = True',
            "API_KEYS",
        ),
        ('CALCULATION_COMMAND = ("true",)\nCALCULATION_API_KEYS = ("short",)', "CALCULATION_API_KEYS"),
        (
            'CALCULATION_COMMAND = ("true",)\nCALCULATION_STARTCALC = "a"\nCALCULATION_OPEN = True',
            "CALCULATION_COMMAND",
        ),
        ('CALCULATION_STARTCALC = "a"\nCALCULATION_OPEN = True', "CALCULATION_GETSTATUS"),
        ('CALCULATION_PATH = "a/../b"', "CALCULATION_PATH"),
        ('CALCULATION_PATH = "a<b>"', "CALCULATION_PATH"),
        (
            'CALCULATION_STARTCALC = CALCULATION_GETSTATUS = "a"\nCALCULATION_OPEN = True\nTASK_LIFETIME = 5',
            "CALCULATION_TIMEOUT_SECONDS",
        ),
    ],
)
def test_settings_of_calculations_are_whole(lines: str, setting: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("settings") / "settings.py"
    file.write_text(lines)
    with pytest.raises(SettingsError) as caught:
        load_settings({"KNOSSOS_SETTINGS": str(file)})
    assert setting in caught.value.message
    assert "short" not in caught.value.message


def test_the_settings_in_the_document_are_good_as_they_stand_there(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "calculations.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", document, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 4
    for number, block in enumerate(blocks):
        file = tmp_path / f"{number}.py"
        file.write_text(block)
        load_settings({"KNOSSOS_SETTINGS": str(file), "KNOSSOS_DATA": str(tmp_path)})


def test_nobody_calculates_unless_the_operator_says_so() -> None:
    settings = Settings()
    assert not settings.calculation_command
    assert not settings.calculation_open
