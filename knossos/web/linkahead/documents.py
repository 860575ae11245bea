"""The XML of the protocol: pure functions from what is known to the text of an answer.

What always holds: it is well-formed whatever a script wrote. Characters that XML cannot hold are replaced, and those
that a reader would change (carriage returns; tabs and line ends in attributes) are written as references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from knossos.scripting.access import ANONYMOUS, Caller
from knossos.scripting.arguments import ScriptCall
from knossos.scripting.plan import RunOutcome
from knossos.scripting.run_records import Run

#: Where our accounts live, as the protocol asks it of every user.
REALM = "Knossos"
#: What a shell says of a program that a signal ended: this plus the signal's number.
SIGNALLED_CODE = 128
#: The code of a run that has none: it was stopped, or could not be started.
NO_CODE = -1

_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE_ESCAPES = {**_ESCAPES, ord('"'): "&quot;", ord("\t"): "&#9;", ord("\n"): "&#10;"}


def response(*children: str) -> str:
    """A whole document."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + element("Response", {}, *children) + "\n"


def element(name: str, attributes: Mapping[str, str | int], *children: str) -> str:
    """An element with children that are XML already."""
    shown = "".join(
        f' {key}="{_possible(str(value)).translate(_ATTRIBUTE_ESCAPES)}"' for key, value in attributes.items()
    )
    content = "".join(children)
    return f"<{name}{shown}>{content}</{name}>" if content else f"<{name}{shown}/>"


def text_element(name: str, text: str) -> str:
    """An element that holds a text; an empty one where there is none."""
    return element(name, {}, _possible(text).translate(_ESCAPES))


def error(status: int, reason: str, description: str, errors: Iterable[Mapping[str, str]] = ()) -> str:
    """``code`` is the HTTP status, since clients expect a number; ``reason`` is our own word for programs."""
    problems = (element("Problem", {"field": one["path"], "description": one["message"]}) for one in errors)
    return response(element("Error", {"code": status, "reason": reason, "description": description}, *problems))


def user_info(caller: Caller) -> str:
    """Who the caller is. ``anonymous`` is everybody's role, and named only where there is no other."""
    realm = ANONYMOUS if caller.account is None else REALM
    roles = sorted(caller.roles - {ANONYMOUS}) or ([ANONYMOUS] if caller.account is None else [])
    listed = element("Roles", {}, *(text_element("Role", role) for role in roles))
    return element("UserInfo", {"username": caller.name, "realm": realm}, listed)


def script(call: ScriptCall, run: Run, stdout: str, stderr: str) -> str:
    """What came of a run that has ended."""
    attributes: dict[str, str | int] = {"code": exit_code(run)}
    if run.outcome is not RunOutcome.EXITED:
        attributes["outcome"] = run.outcome or ""
        stderr = _with_line(stderr, run.error)
    if run.dropped_bytes:
        attributes["dropped-bytes"] = run.dropped_bytes
        stderr = _with_line(stderr, f"[The output was too long: {run.dropped_bytes} bytes of it were dropped.]")
    streams = text_element("stdout", stdout), text_element("stderr", stderr)
    return response(element("script", attributes, text_element("call", call.line), *streams))


def accepted(call: ScriptCall, run: Run, *, token: str, status: str, page: str) -> str:
    """A run that goes on without the caller. ``token`` is the task's: with it one may watch and stop it."""
    attributes: dict[str, str | int] = {"id": run.run_id, "ticket": run.ticket or 0, "token": token}
    attributes |= {"status": status, "page": page}
    return response(element("run", attributes, text_element("call", call.line)))


def exit_code(run: Run) -> int:
    if run.exit_code is not None:
        return run.exit_code
    return NO_CODE if run.signal is None else SIGNALLED_CODE + run.signal


def _with_line(text: str, line: str) -> str:
    if not line:
        return text
    return f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n"


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("\N{REPLACEMENT CHARACTER}", text)
