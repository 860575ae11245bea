"""What makes two requests to publish the same one, so that a client that repeats itself is recognised. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from knossos.packaging.description import Action
from knossos.publishing.documents import ReleaseDocument
from knossos.publishing.release_rows import Mode


def digest_of(user_id: int, document: ReleaseDocument, mode: Mode, actions: Sequence[Action] = ()) -> str:
    """The digest of a release: who sends it, what is to be done, and all of what was accepted of it."""
    told = [action.model_dump(mode="json") for action in actions]
    # The day on which a request came is no part of it: it may come again after midnight.
    plain = document.model_dump(mode="json", exclude={"last_update"})
    return digest_of_parts(user_id, mode, plain, told)


def digest_of_parts(*parts: Any) -> str:
    """One SHA-256 for plain JSON data."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
