"""What handlers work with: the settings, the engine, the accounts, made once by the app factory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app

from knossos.accounts import Accounts, Sessions
from knossos.jobs import Engine
from knossos.outgoing import OutgoingHttp
from knossos.settings import Settings
from knossos.web.result_tree import SizesOf

EXTENSION = "knossos"


@dataclass(frozen=True)
class Services:
    settings: Settings
    engine: Engine
    accounts: Accounts
    sessions: Sessions
    #: Guarded requests to the outside, for pictures of questions.
    outgoing: OutgoingHttp
    #: Sizes of the files in an archive that this machine knows.
    sizes_of: SizesOf


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast(Services, current_app.extensions[EXTENSION])
