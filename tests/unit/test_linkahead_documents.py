"""The XML of the LinkAhead protocol is well-formed whatever is in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from knossos.accounts import Account
from knossos.scripting.access import Caller, caller_of
from knossos.scripting.arguments import ScriptCall
from knossos.scripting.plan import RunKind, RunOutcome
from knossos.scripting.run_records import Run
from knossos.web.linkahead import documents

RUN = Run(
    run_id="00000000-0000-0000-0000-000000000000",
    ticket=7,
    kind=RunKind.SCRIPT,
    name="x.py",
    owner="account:dora",
    arguments=(),
    created_at=0,
    started_at=1,
    ended_at=2,
    expires_at=3,
    outcome=RunOutcome.EXITED,
    exit_code=0,
    signal=None,
    error="",
    dropped_bytes=0,
    shared_name="s",
    files=(),
)


def read(document: str) -> Any:
    return etree.fromstring(document.encode())


def script(run: Run = RUN, stdout: str = "", stderr: str = "") -> Any:
    return read(documents.script(ScriptCall("x.py", ("a",)), run, stdout, stderr)).find("script")


@given(st.text(), st.text())
def test_any_text_arrives_but_for_what_xml_cannot_hold(stdout: str, description: str) -> None:
    found = script(stdout=stdout).findtext("stdout")
    assert len(found) == len(stdout)
    assert all(there in (wanted, "\N{REPLACEMENT CHARACTER}") for there, wanted in zip(found, stdout, strict=True))
    printable = "".join(c for c in stdout if c.isprintable() or c in "\t\r\n")
    assert script(stdout=printable).findtext("stdout") == printable
    error = read(documents.error(400, "bad", description)).find("Error")
    assert len(error.get("description")) == len(description)


def test_an_empty_stream_is_an_empty_element() -> None:
    assert "<stdout/><stderr/>" in documents.script(ScriptCall("x.py"), RUN, "", "")
    assert script().findtext("call") == "x.py a"
    assert dict(script().attrib) == {"code": "0"}


def test_how_a_run_ended_is_told_in_numbers_and_on_standard_error() -> None:
    failed = replace(RUN, exit_code=3, error="It ended with exit code 3.")
    assert (script(failed).get("code"), script(failed, stderr="no").findtext("stderr")) == ("3", "no")
    killed = replace(RUN, outcome=RunOutcome.SIGNALLED, exit_code=None, signal=11, error="A crash.")
    assert dict(script(killed).attrib) == {"code": "139", "outcome": "signalled"}
    assert script(killed, stderr="no").findtext("stderr") == "no\nA crash.\n"
    never = replace(RUN, outcome=RunOutcome.FAILED, exit_code=None, error="It cannot be started.")
    assert (script(never).get("code"), script(never).findtext("stderr")) == ("-1", "It cannot be started.\n")


def test_roles_are_those_that_tell_somebody_apart() -> None:
    def roles(caller: Caller) -> list[str]:
        return [role.text for role in read(f"<r>{documents.user_info(caller)}</r>").iter("Role")]

    assert roles(caller_of(None)) == ["anonymous"]
    assert roles(caller_of(Account(1, "dora"))) == []
    assert roles(caller_of(Account(1, "olga", frozenset({"operator"})))) == ["administration", "operator"]
