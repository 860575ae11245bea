"""What a form of a page was filled in with, kept with its run, so that it can be run again from there.

Kept as it was typed, and given back only for the very form that it was typed into: an operator may have changed it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from knossos.scripting.form_fields import Form
from knossos.scripting.run_records import run_prefix
from knossos.storage import NoSuchObject, Storage


def keep(storage: Storage, run_id: str, form: Form, values: Mapping[str, Any]) -> None:
    """Keep the nested values of a form until the run is forgotten."""
    storage.put_bytes(_key(run_id), json.dumps({"form": _mark_of(form), "values": values}).encode())


def kept(storage: Storage, run_id: str, form: Form) -> dict[str, Any] | None:
    """What `keep` was given for that run; None where there is nothing, or it was another form."""
    try:
        found = json.loads(b"".join(storage.read(_key(run_id))))
    except NoSuchObject:
        return None
    values: dict[str, Any] = found["values"]
    return values if found["form"] == _mark_of(form) else None


def _mark_of(form: Form) -> str:
    return hashlib.sha256(form.model_dump_json().encode()).hexdigest()


def _key(run_id: str) -> str:
    return f"{run_prefix(run_id)}/form"
