"""AUTHTOKEN_CONFIG: what an entry says, what is wrong with a file, and that changes count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knossos.accounts import Account
from knossos.errors import SettingsError
from knossos.scripting.access import Caller, caller_of
from knossos.scripting.authtokens import AuthTokens
from knossos.scripting.calls import token_plan
from knossos.scripting.plan import TokenPlan
from knossos.settings import Settings

ENTRY = """
- purpose: SCRIPTING:EXECUTE:handle_csv.py
  roles: [administration]
- purpose: SCRIPTING:EXECUTE:tables/clean.py
  roles: [curators, readers]
  permissions: ["SCRIPTING:EXECUTE:tables/*"]
  expires_after_seconds: 60
  max_replays: 3
"""


def write(file: Path, text: str) -> None:
    """Write so that the change shows, however coarse the file system's clock is."""
    number = file.stat().st_mtime_ns + 1_000_000_000 if file.exists() else None
    file.write_text(text)
    if number is not None:
        os.utime(file, ns=(number, number))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens.yml"


@pytest.fixture
def authtokens(file: Path) -> AuthTokens:
    write(file, ENTRY)
    return AuthTokens(Settings(authtoken_config=str(file)))


def test_an_entry_gives_a_script_roles_of_its_own(authtokens: AuthTokens) -> None:
    authtokens.check()
    entry = authtokens.of_script("tables/clean.py")
    dora = caller_of(Account(7, "dora", frozenset({"operator"})))
    assert token_plan(dora, entry) == TokenPlan(
        user_id=7,
        roles=("curators", "readers"),
        permissions=("SCRIPTING:EXECUTE:tables/*",),
        expires_after_seconds=60,
        max_replays=3,
    )
    assert authtokens.of_script("clean.py") is None
    assert authtokens.roles() == {"administration", "curators", "readers"}


def test_without_an_entry_a_token_is_its_caller() -> None:
    authtokens = AuthTokens(Settings())
    authtokens.check()
    assert authtokens.of_script("x.py") is None
    assert token_plan(caller_of(Account(7, "dora")), None) == TokenPlan(user_id=7)
    assert token_plan(caller_of(None), None) == TokenPlan()


def test_what_a_script_with_roles_of_its_own_calls_has_them_too() -> None:
    script = Caller(Account(7, "dora"), frozenset({"curators"}), ("SCRIPTING:EXECUTE:a",), stands_in=True)
    assert token_plan(script, None) == TokenPlan(user_id=7, roles=("curators",), permissions=("SCRIPTING:EXECUTE:a",))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("- purpose: x\n  roles: []", r"\[0\]\.purpose"),
        ("- purpose: SCRIPTING:EXECUTE:x", r"\[0\]\.roles"),
        ("- purpose: SCRIPTING:EXECUTE:x\n  roles: administration", r"\[0\]\.roles"),
        ("- purpose: SCRIPTING:EXECUTE:x\n  roles: [a, 'b c']", r"\[0\]\.roles\.1"),
        ("- purpose: SCRIPTING:EXECUTE:x\n  roles: []\n  max_replays: 0", r"\[0\]\.max_replays"),
        ("- purpose: SCRIPTING:EXECUTE:x\n  roles: []\n  expires_after_seconds: soon", r"\[0\]\.expires_after_seconds"),
        ("- purpose: SCRIPTING:EXECUTE:x\n  roles: []\n  colour: red", r"\[0\]\.colour"),
        (ENTRY + "- purpose: SCRIPTING:EXECUTE:handle_csv.py\n  roles: []", r"\[2\]\.purpose: there is another"),
        ("- just a text", r"\[0\]"),
        ("purpose: SCRIPTING:EXECUTE:x", "expected a list"),
        ("- [unclosed", "this is no YAML"),
        ("!!python/object/apply:os.system ['true']", "this is no YAML"),
        ("[" * 5000, "this is no YAML"),
        ("#" * (1024 * 1024 + 1), "expected at most"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_field(file: Path, text: str, field: str) -> None:
    write(file, text)
    with pytest.raises(SettingsError, match=rf"^AUTHTOKEN_CONFIG: .*tokens\.yml: .*{field}") as caught:
        AuthTokens(Settings(authtoken_config=str(file))).check()
    assert caught.value.setting == "AUTHTOKEN_CONFIG"


def test_a_file_that_is_missing_is_told_too(file: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        AuthTokens(Settings(authtoken_config=str(file))).check()


def test_an_empty_file_has_no_entries(file: Path) -> None:
    write(file, "# nothing yet\n")
    assert AuthTokens(Settings(authtoken_config=str(file))).of_script("x") is None


def test_a_change_counts_at_once_and_a_broken_one_does_not(
    authtokens: AuthTokens, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert authtokens.of_script("handle_csv.py") is not None
    write(file, "- purpose: SCRIPTING:EXECUTE:other.py\n  roles: [readers]\n")
    assert authtokens.of_script("handle_csv.py") is None
    assert authtokens.of_script("other.py") is not None
    write(file, "- purpose: SCRIPTING:EXECUTE:other.py\n  rolls: [readers]\n")
    assert authtokens.of_script("other.py") is not None
    assert authtokens.of_script("other.py") is not None
    assert caplog.text.count("tokens.yml: [0].roles") == 1
    file.unlink()
    assert authtokens.of_script("other.py") is not None
    write(file, ENTRY)
    assert authtokens.of_script("other.py") is None
