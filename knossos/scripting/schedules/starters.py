"""Starting what a schedule is for, as its account is then: one starter for each kind. Homes bring theirs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from knossos.accounts import Account
from knossos.errors import InvalidInput
from knossos.scripting.access import caller_of, may_execute, may_see_calculations
from knossos.scripting.calculations.calculations import Calculations, NoSuchCalculation, input_key, is_offered
from knossos.scripting.calculations.input import check_input
from knossos.scripting.calls import Scripting
from knossos.scripting.catalogue import Script
from knossos.scripting.form_values import FORM_NAME
from knossos.scripting.forms import check as check_form
from knossos.scripting.forms import document
from knossos.scripting.plan import UPLOADS, RunKind
from knossos.scripting.runs import Accepting
from knossos.scripting.schedules.states import NotAllowed, StillRunning
from knossos.scripting.schedules.wish import What
from knossos.settings import Settings
from knossos.storage import NoSuchObject, Storage


@dataclass(frozen=True)
class Start:
    """One start: what, and with which run."""

    what: What
    run_id: str
    #: Has to hold in the transaction that accepts the run.
    accepting: Accepting


@dataclass(frozen=True)
class Prepared:
    """What was asked for, as it is kept, and what it is called where its owner gives it no name."""

    what: What
    title: str


class Starter(Protocol):
    """Starts one kind of things."""

    def prepare(self, account: Account, what: What) -> Prepared:
        """See that the account may schedule it, and that it is there.

        Raises:
            NotAllowed, InvalidInput: what they say; ``errors`` have the paths of a wish.
        """
        ...

    def start(self, account: Account, start: Start) -> None:
        """Have it run.

        Raises:
            NotAllowed: not any more.
            KnossosError: it cannot be run this time.
        """
        ...


class ScriptStarter:
    """The operator's scripts."""

    def __init__(self, scripting: Scripting) -> None:
        self._scripting = scripting

    def prepare(self, account: Account, what: What) -> Prepared:
        script = self._script(account, what.target)
        form = script.metadata.form
        if form is None and what.form is not None:
            raise InvalidInput.at("form", "this script has no form; it takes arguments")
        if form is not None:
            if what.arguments:
                raise InvalidInput.at("arguments", "this script has a form; it takes its values, as form")
            self._values(script, what.form or {})
        return Prepared(what, script.title)

    def start(self, account: Account, start: Start) -> None:
        script, what = self._script(account, start.what.target), start.what
        with self._scripting.receive() as places:
            arguments = what.arguments
            if script.metadata.form is not None:
                arguments = (f"{UPLOADS}/{FORM_NAME}",)
                places.add(FORM_NAME).write(document(self._values(script, what.form or {})))
            self._scripting.start(
                script, caller_of(account), arguments, places.complete(), run_id=start.run_id, accepting=start.accepting
            )

    def _script(self, account: Account, name: str) -> Script:
        if not may_execute(caller_of(account), name, self._scripting.settings):
            raise NotAllowed(f"{account.name} may not run {name}.")
        return self._scripting.catalogue.find(name)

    def _values(self, script: Script, values: Mapping[str, Any]) -> dict[str, Any]:
        assert script.metadata.form is not None
        try:
            return check_form(script.metadata.form, dict(values), [])
        except InvalidInput as error:
            errors = [{**one, "path": f"form.{one['path']}".rstrip(".")} for one in error.errors]
            raise InvalidInput(f"form: {error.message}", errors=errors) from error


class CalculationStarter:
    """Calculations: each time its input is calculated anew, and the results replace those before."""

    def __init__(self, settings: Settings, storage: Storage, calculations: Calculations) -> None:
        self._settings = settings
        self._storage = storage
        self._calculations = calculations

    def prepare(self, account: Account, what: What) -> Prepared:
        self._require(account)
        content = what.content
        if content is None:
            try:
                found = self._calculations.get(what.target)
                content = b"".join(self._storage.read(input_key(found.run_id)))
            except (NoSuchCalculation, NoSuchObject) as error:
                raise InvalidInput.at(
                    "calculation", "there is no such calculation (any more): send its input"
                ) from error
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        try:
            check_input(sha1, content)
        except InvalidInput as error:
            raise InvalidInput.at("input", error.message) from error
        return Prepared(What(RunKind.CALCULATION, sha1, content=content), f"Calculation {sha1[:12]}")

    def start(self, account: Account, start: Start) -> None:
        self._require(account)
        assert start.what.content is not None
        found = self._calculations.post(
            start.what.target, start.what.content, run_id=start.run_id, anew=True, accepting=start.accepting
        )
        if found.run_id != start.run_id:
            raise StillRunning("This calculation is under way already.", run_id=found.run_id)

    def _require(self, account: Account) -> None:
        if not is_offered(self._settings):
            raise InvalidInput.at("kind", "this server calculates nothing")
        if not may_see_calculations(caller_of(account), self._settings):
            raise NotAllowed(f"{account.name} may not start calculations.")


def scripting_starters(scripting: Scripting) -> dict[RunKind, Starter]:
    """The starters of what this room runs."""
    return {
        RunKind.SCRIPT: ScriptStarter(scripting),
        RunKind.CALCULATION: CalculationStarter(scripting.settings, scripting.storage, scripting.calculations),
    }
