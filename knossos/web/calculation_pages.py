"""``/calculations``: the list of calculations, and what is done with them on pages; each one's own page is its run's.

For operators, for everybody where the service is open, and for accounts with the permission ``CALCULATION:USE``. The
protocol's addresses, ``/<sha1>/``, are another module's (`calculations.py`) and know no cookie; these know no key.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import time

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import RequestEntityTooLarge

from knossos.errors import AccessDenied, InvalidInput, NotFound
from knossos.scripting.access import may_see_calculations
from knossos.scripting.calculations.calculations import (
    INPUT_NAME,
    Calculation,
    Calculations,
    NoSuchCalculation,
    input_key,
    is_offered,
)
from knossos.scripting.calculations.states import CalculationState
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import TooManyRuns
from knossos.web.authentication import page_account, take_own_forms_only
from knossos.web.calculation_views import STATE_LOOKS, STATE_NAMES, numbers_of, sha1_of, values_of
from knossos.web.errors import status_of
from knossos.web.run_pages import visible_run, visible_run_of
from knossos.web.script_pages import page_caller
from knossos.web.security import keep_private
from knossos.web.services import services
from knossos.web.stored_answers import stored_answer

#: Calculations on a page of the list.
PAGE = 50
#: Bytes of a form beside the input that it brings.
FORM_BYTES = 64 * 1024

blueprint = Blueprint("calculation_pages", __name__)
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)


def _check_visitor() -> None:
    """Only those who may go on. Somebody who is not logged in is led to do that."""
    caller, settings = page_caller(), services().settings
    if may_see_calculations(caller, settings):
        return
    if not is_offered(settings) and not (caller.account is not None and caller.account.is_operator):
        abort(404, "There is nothing at this address.")
    if not page_account().is_operator:
        raise AccessDenied("Calculations are for those whom this server's operator has allowed to see them.")


# --- the list --------------------------------------------------------------------------------------------


@blueprint.get("/calculations")
def calculations() -> str:
    _check_visitor()
    return _list_page()


def _list_page(error: str = "", text: str = "") -> str:
    state = _state_asked_for()
    before = request.args.get("before", type=float)
    listed = _calculations().listed
    found = listed.page(state, before, PAGE + 1)
    return render_template(
        "calculations/list.html",
        rows=[(one, numbers_of(listed.series, one.last)) for one in found[:PAGE]],
        plots=bool(listed.series),
        offered=is_offered(services().settings),
        chosen=state,
        older=repr(found[PAGE - 1].created_at) if len(found) > PAGE else None,
        paged=before is not None,
        state_names=STATE_NAMES,
        state_looks=STATE_LOOKS,
        most_bytes=services().settings.calculation_input_bytes,
        error=error,
        text=text,
        now=time.time(),
    )


def _state_asked_for() -> CalculationState | None:
    word = request.args.get("state", "")
    return CalculationState(word) if word in list(CalculationState) else None


# --- what is done with them ------------------------------------------------------------------------------


@blueprint.post("/calculations")
def post() -> Response | tuple[str, int]:
    """Start the calculation of an input, as a file or as text; the one that there is already, where it was posted."""
    _check_visitor()
    text = ""
    try:
        data = _posted_input()
        text = request.form.get("text", "")
        found = _calculations().post(hashlib.sha1(data, usedforsecurity=False).hexdigest(), data)
    except (InvalidInput, TooManyRuns) as error:
        return _list_page(error.message, text or request.form.get("text", "")), status_of(error)
    except RequestEntityTooLarge:
        most = services().settings.calculation_input_bytes
        return _list_page(f"input.xml: expected at most {most:,} bytes."), 413
    return _to_its_page(found)


def _posted_input() -> bytes:
    settings = services().settings
    request.max_content_length = request.max_form_memory_size = settings.calculation_input_bytes + FORM_BYTES
    upload, text = request.files.get("file"), request.form.get("text", "")
    # Forms end each line in two characters, where files have one.
    data = upload.read() if upload is not None and upload.filename else text.replace("\r\n", "\n").encode()
    if not data.strip():
        raise InvalidInput("input.xml: choose a file, or paste what is in it.")
    if len(data) > settings.calculation_input_bytes:
        raise RequestEntityTooLarge
    return data


@blueprint.post("/calculations/again")
def again() -> Response:
    _check_visitor()
    return _to_its_page(_calculations().post_again(_sha1_sent()))


@blueprint.post("/calculations/delete")
def delete() -> Response | str:
    """Delete a calculation; a browser without scripts is asked once more."""
    _check_visitor()
    sha1 = _sha1_sent()
    if request.form.get("confirmed") != "yes":
        return render_template("calculations/delete.html", calculation=_calculations().get(sha1), sha1=sha1)
    with contextlib.suppress(NoSuchCalculation):  # somebody else was faster
        _calculations().delete(sha1)
    return make_response(redirect(url_for("calculation_pages.calculations"), 303))


def _sha1_sent() -> str:
    sha1 = request.form.get("sha1", "").lower()
    if len(sha1) != 40 or not sha1.isascii() or not sha1.isalnum():
        raise InvalidInput("sha1: expected the SHA-1 of an input, 40 hexadecimal digits.")
    return sha1


def _to_its_page(found: Calculation) -> Response:
    if found.run is None:  # its row is there, and its run a moment later
        return make_response(redirect(url_for("calculation_pages.calculations"), 303))
    return make_response(redirect(url_for("run_pages.run", run_id=found.run_id), 303))


def _calculations() -> Calculations:
    return services().scripting.calculations


# --- what belongs to one ---------------------------------------------------------------------------------


@blueprint.get("/runs/<run_id>/input.xml")
def input_file(run_id: str) -> Response:
    """Its input as a download, for whoever sees its page."""
    found = visible_run_of(RunKind.CALCULATION, run_id)
    storage, key = services().scripting.storage, input_key(found.run_id)
    response = stored_answer(storage, key, content_type="application/octet-stream", cache="no-store")
    # It is for this visitor alone, whatever other sites may have of other files.
    for name in ("Access-Control-Allow-Origin", "Cross-Origin-Resource-Policy"):
        response.headers.pop(name, None)
    response.headers.set("Content-Disposition", "attachment", filename=INPUT_NAME)
    return response


@blueprint.get("/runs/<run_id>/values.csv")
def values(run_id: str) -> Response:
    """All numbers of its plot, as far as there are any."""
    found = visible_run_of(RunKind.CALCULATION, run_id)
    _, record = visible_run(run_id)
    series, numbers = _calculations().listed.series, values_of(found, record).series
    if not series:
        raise NotFound("This server plots nothing of calculations.")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["iteration", *(f"{one.label} [{one.unit}]" if one.unit else one.label for one in series)])
    for row in range(max(map(len, numbers))):
        writer.writerow([row + 1, *(repr(line[row]) if row < len(line) else "" for line in numbers)])
    response = Response(text.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers.set("Content-Disposition", "attachment", filename=f"values-{sha1_of(found)[:12]}.csv")
    return response
