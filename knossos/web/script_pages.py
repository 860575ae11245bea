"""``/scripts``: what a visitor may run, and for each script a page with its form.

Rendered here, and whole without scripts of the browser: rows of a form come and go by its buttons, what is wrong is
said at its field with what was typed, and what passed is a run, whose page comes next (`run_pages.py`). Whoever may
not run a script is not told more of it than that; who is not logged in is led to do that.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from flask import Blueprint, Flask, Response, make_response, redirect, render_template, request, url_for

from knossos.errors import InvalidInput
from knossos.scripting import kept_forms
from knossos.scripting.access import Caller, caller_of, may_call_runner, may_execute
from knossos.scripting.calls import NotLoggedIn, Started
from knossos.scripting.catalogue import Script
from knossos.scripting.form_fields import Form
from knossos.scripting.form_values import FORM_NAME
from knossos.scripting.forms import beginning, called, check, document, nested, with_row
from knossos.scripting.incoming import IncomingFiles
from knossos.scripting.plain_form import PLAIN_FORM, arguments_of, values_of
from knossos.scripting.plan import UPLOADS, RunKind
from knossos.scripting.run_records import NoSuchRun, new_run_id
from knossos.scripting.runners.folder import Runner
from knossos.storage import StorageUnavailable
from knossos.web.authentication import current_session, page_account, refuse_other_sites
from knossos.web.notice_fields import accepting_of, wanted_of
from knossos.web.run_pages import run_address, visible_run
from knossos.web.schedule_links import can_be_mailed
from knossos.web.schedule_pages import schedule_form
from knossos.web.script_forms import ASIDE, REMOVE, SCHEDULE, Sent, receive
from knossos.web.services import services

#: Longest text that is searched for, in characters.
MAX_SEARCH_CHARS = 100
#: Seconds for which the menu goes by what it has found: it is on every page.
MENU_SECONDS = 5.0

#: The field beside the form that says whose schedule it is of, where it is filled in anew.
OF_SCHEDULE = "of_schedule"

_NOTHING: Mapping[str, str] = {}

blueprint = Blueprint("script_pages", __name__)
_log = logging.getLogger(__name__)


def page_caller() -> Caller:
    """Who visits a page, and as what."""
    session = current_session()
    return caller_of(None if session is None else session.account)


# --- what there is ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """The scripts of one folder."""

    folder: str
    scripts: Sequence[Script]


@blueprint.get("/scripts")
def scripts() -> str:
    caller, text = page_caller(), request.args.get("q", "").replace("\0", "").strip()[:MAX_SEARCH_CHARS]
    found, runners, settings = services().scripting.scripts_for(caller), _runners_for(caller), services().settings
    return render_template(
        "scripts/list.html",
        groups=grouped([one for one in found if matches(text, one.name, one.title, one.metadata.description)]),
        runners=[one for one in runners if matches(text, one.name, one.title, one.file.description)],
        total=len(found) + len(runners),
        text=text,
        folders=settings.server_side_scripting_bin_dirs,
        operator=caller.account is not None and caller.account.is_operator,
    )


def grouped(found: Sequence[Script]) -> list[Group]:
    """Scripts by their folders, those without one first."""
    folders: dict[str, list[Script]] = {}
    for script in sorted(found, key=lambda one: (one.name.rpartition("/")[0], one.title.lower())):
        folders.setdefault(script.name.rpartition("/")[0], []).append(script)
    return [Group(folder, scripts) for folder, scripts in folders.items()]


def matches(text: str, *described: str) -> bool:
    """Whether each word of a search stands somewhere in a name, a title or a description."""
    words = " ".join(described).lower()
    return all(word in words for word in text.lower().split())


def _runners_for(caller: Caller) -> list[Runner]:
    """The runners that the visitor may call by being who they are here."""
    return [one for one in services().scripting.runners.all() if _may_call(caller, one.name)]


def _may_call(caller: Caller, runner: str) -> bool:
    settings = services().settings
    if settings.auth_provider == "knossos":
        return may_call_runner(caller, runner, settings)
    # An issuer's tokens say who calls, and a page does not have one.
    return settings.auth_provider == "none"


# --- one script ------------------------------------------------------------------------------------------


@blueprint.get("/scripts/<path:name>")
def script(name: str) -> str:
    found = _find(name)
    form = form_of(found)
    if schedule_id := request.args.get("schedule", ""):
        kept = services().scheduling.schedules.get(page_account(), schedule_id)
        if kept.form is not None and kept.target == found.name:
            return _script_page(found, form, {**beginning(form), **_texts(kept.form)}, {}, {OF_SCHEDULE: schedule_id})
    return _script_page(found, form, _first_values(found, form), {})


@blueprint.post("/scripts/<path:name>")
def start(name: str) -> Response | tuple[str, int] | str:
    refuse_other_sites()
    found = _find(name)
    form = form_of(found)
    request.max_content_length = services().settings.max_content_length
    with services().scripting.receive() as places:
        sent = receive(form, places)
        values = nested(form, sent.pairs)
        if sent.button is not None:
            button, path = sent.button
            return _script_page(found, form, with_row(form, values, path, remove=button == REMOVE), {}, sent.aside)
        try:
            if SCHEDULE.removeprefix(ASIDE) in sent.aside:
                return _schedule(found, form, values, sent)
            started = _start(found, form, values, sent, places)
        except InvalidInput as error:
            return _script_page(found, form, values, _errors(sent, error), sent.aside), 400
    _keep(started.run.run_id, form, values)
    return make_response(redirect(run_address(started.run, started.record), 303))


def form_of(found: Script) -> Form:
    return found.metadata.form or PLAIN_FORM


def _start(found: Script, form: Form, values: dict[str, Any], sent: Sent, places: IncomingFiles) -> Started:
    """Check what was sent, and run the script with it. Raises InvalidInput."""
    checked, run_id = _checked(form, values, sent), new_run_id()
    if form is PLAIN_FORM:
        arguments = arguments_of(services().settings, checked)
    else:
        arguments = (f"{UPLOADS}/{FORM_NAME}",)
        places.add(FORM_NAME).write(document(checked))
    caller, wanted = page_caller(), wanted_of(sent.aside, ASIDE)
    accepting = None if caller.account is None else accepting_of(caller.account, run_id, wanted, found.title, ASIDE)
    return services().scripting.start(found, caller, arguments, places.complete(), run_id=run_id, accepting=accepting)


def _checked(form: Form, values: dict[str, Any], sent: Sent) -> dict[str, Any]:
    if sent.errors:
        errors = [{"path": path, "message": message} for path, message in sent.errors.items()]
        raise InvalidInput("The files cannot be taken.", errors=errors)
    return check(form, values, [file.name for file in sent.files])


def _schedule(found: Script, form: Form, values: dict[str, Any], sent: Sent) -> Response | str:
    """Lead on to a schedule of what was filled in, or change the one that it is of. Raises InvalidInput."""
    account, checked = page_account(), _checked(form, values, sent)
    changed = sent.aside.get(OF_SCHEDULE, "")
    if sent.files:
        errors = [{"path": path, "message": "A schedule keeps no files."} for path in _paths_of_files(sent)]
        raise InvalidInput("A schedule keeps no files.", errors=errors)
    if form is PLAIN_FORM:
        arguments = arguments_of(services().settings, checked)
        return schedule_form(account, {"script": found.name, "arguments": "\n".join(arguments)})
    if changed:
        what = {"kind": RunKind.SCRIPT, "script": found.name, "form": checked}
        services().scheduling.schedules.change(account, changed, what)
        return make_response(redirect(url_for("schedule_pages.schedule", schedule_id=changed), 303))
    return schedule_form(account, {"script": found.name, "form": json.dumps(checked, ensure_ascii=False)})


def _paths_of_files(sent: Sent) -> list[str]:
    names = {file.name for file in sent.files}
    return [path for path, value in sent.pairs if value in names]


def _keep(run_id: str, form: Form, values: dict[str, Any]) -> None:
    if form is PLAIN_FORM:
        return  # its arguments are in the run itself
    try:
        kept_forms.keep(services().scripting.storage, run_id, form, values)
    except StorageUnavailable as error:
        # It runs all the same; only running it again begins empty.
        _log.warning("run %s: its form cannot be kept: %s", run_id, error.message)


def _errors(sent: Sent, error: InvalidInput) -> dict[str, str]:
    """What is wrong by path, "" for what concerns no field; and that files are to be chosen again."""
    found: dict[str, str] = {}
    for one in error.errors:
        found.setdefault(one["path"], one["message"])
    if not found:
        found[""] = error.message
    files = {file.name for file in sent.files}
    for path, value in sent.pairs:
        if value in files:
            found.setdefault(path, f"Choose {value} again: pages cannot keep files.")
    return found


def _first_values(found: Script, form: Form) -> dict[str, Any]:
    """The values that a form begins with: those of an earlier run where the visitor wants it once more."""
    again = request.args.get("again", "")
    try:
        run = visible_run(again)[0] if again else None
    except NoSuchRun:
        run = None
    if run is None or run.kind is not RunKind.SCRIPT or run.name != found.name:
        return beginning(form)
    if form is PLAIN_FORM:
        return values_of(run.arguments)
    return kept_forms.kept(services().scripting.storage, run.run_id, form) or beginning(form)


def _texts(value: Any) -> Any:
    """What a form was filled in with as its page shows it: nothing is an empty text there."""
    if isinstance(value, dict):
        return {name: _texts(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return "" if value is None else value


def _script_page(
    found: Script, form: Form, values: dict[str, Any], errors: dict[str, str], aside: Mapping[str, str] = _NOTHING
) -> str:
    return render_template(
        "scripts/script.html",
        script=found,
        form=form,
        # What the browser's own checks go by.
        config=form.model_dump(mode="json", exclude_defaults=True),
        values=values,
        errors=errors,
        wrong={path: called(form, path) for path in errors if path},
        aside=aside,
        can_mail=can_be_mailed(page_caller().account),
    )


def _find(name: str) -> Script:
    caller = page_caller()
    try:
        return services().scripting.find_for(caller, name)
    except NotLoggedIn:
        page_account()  # leads away, to logging in and back
        raise


# --- the menu --------------------------------------------------------------------------------------------


class Menu:
    """What the menu of every page knows of scripts. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._names: tuple[str, ...] = ()
        self._runners: tuple[str, ...] = ()
        self._until = 0.0

    def has_scripts(self) -> bool:
        """Whether the visitor may run something."""
        with self._lock:
            if time.monotonic() >= self._until:
                scripting = services().scripting
                self._names = tuple(script.name for script in scripting.catalogue.scripts())
                self._runners = tuple(scripting.runners.names())
                self._until = time.monotonic() + MENU_SECONDS
            names, runners = self._names, self._runners
        if not names and not runners:
            return False
        caller, settings = page_caller(), services().settings
        return any(may_execute(caller, one, settings) for one in names) or any(
            _may_call(caller, one) for one in runners
        )


def install(app: Flask) -> None:
    """Give templates ``has_scripts()``."""
    app.jinja_env.globals["has_scripts"] = Menu().has_scripts
