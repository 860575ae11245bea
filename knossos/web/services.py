"""What handlers work with: the settings, the engine, the accounts, made once by the app factory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from flask import current_app

from knossos.accounts import Accounts, Sessions
from knossos.accounts.administration import Administration
from knossos.accounts.audit import Audit
from knossos.accounts.logins import Logins
from knossos.accounts.post import Post
from knossos.accounts.registration import Registration
from knossos.accounts.tokens import Tokens
from knossos.database import Database
from knossos.jobs import Engine
from knossos.outgoing import OutgoingHttp
from knossos.settings import Settings
from knossos.web.result_tree import SizesOf
from knossos.web.stopping import Stopping
from knossos.web.waiting import Seats

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

    from knossos.accounts.openid import OpenIdIssuer
    from knossos.homes import Homes
    from knossos.homes.departure import Departure
    from knossos.homes.scheduling import Scheduling
    from knossos.homes.scripts import HomeScripts
    from knossos.operating.readiness import Asker
    from knossos.publishing.publisher import Publisher
    from knossos.scripting.calls import Scripting
    from knossos.scripting.credentials import Credentials

EXTENSION = "knossos"


@dataclass(frozen=True)
class Services:
    settings: Settings
    engine: Engine
    database: Database
    accounts: Accounts
    sessions: Sessions
    #: Guarded requests to the outside, for pictures of questions.
    outgoing: OutgoingHttp
    #: Sizes of the files in an archive that this machine knows.
    sizes_of: SizesOf
    stopping: Stopping

    @cached_property
    def tokens(self) -> Tokens:
        return Tokens(self.settings, self.database)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.database)

    @cached_property
    def logins(self) -> Logins:
        return Logins(self.settings, self.database, self.accounts)

    @cached_property
    def registration(self) -> Registration:
        post = Post(self.settings, self.database, self.engine)
        return Registration(self.settings, self.database, self.accounts, post)

    @cached_property
    def publisher(self) -> Publisher:
        from knossos.publishing.publisher import Publisher

        return Publisher(self.settings, self.database, self.engine, is_stopping=self.stopping.is_set)

    @cached_property
    def scripting(self) -> Scripting:
        from knossos.scripting.calls import Scripting

        return Scripting(self.settings, self.database, self.engine)

    @cached_property
    def credentials(self) -> Credentials:
        from knossos.scripting.credentials import Credentials

        return Credentials(self.sessions, self.tokens, self.scripting.tokens)

    @cached_property
    def homes(self) -> Homes:
        from knossos.homes import Homes

        return Homes(self.settings)

    @cached_property
    def home_scripts(self) -> HomeScripts:
        from knossos.homes.scripts import HomeScripts

        scripting = self.scripting
        return HomeScripts(self.settings, self.database, scripting.storage, self.engine, scripting.runs, self.homes)

    @cached_property
    def scheduling(self) -> Scheduling:
        from knossos.homes.scheduling import scheduling

        parts = self.settings, self.database, self.engine, self.scripting, self.homes, self.home_scripts
        return scheduling(*parts)

    @cached_property
    def figures(self) -> CollectorRegistry:
        """What /metrics shows."""
        from knossos.operating.collector import InstallationCollector, registry

        return registry(InstallationCollector(self.impatient))

    @cached_property
    def impatient(self) -> Engine:
        """For those who ask how things are: where Redis is away or silent, that is the answer, and comes soon."""
        from knossos.operating.readiness import PATIENCE_SECONDS

        return Engine(self.settings, patience_seconds=0, answer_seconds=PATIENCE_SECONDS)

    @cached_property
    def readiness(self) -> Asker:
        """What /ready asks."""
        from knossos.operating.readiness import Asker, Parts
        from knossos.storage import Storage

        return Asker(Parts(self.settings, self.database, Storage(self.settings)).of_server())

    @cached_property
    def administration(self) -> Administration:
        return Administration(self.database, self.accounts)

    @cached_property
    def departure(self) -> Departure:
        from knossos.homes.departure import Departure

        return Departure(self.administration, self.database, self.scripting.runs, self.engine, self.homes)

    @cached_property
    def seats(self) -> Seats:
        return Seats()

    @cached_property
    def issuer(self) -> OpenIdIssuer:
        """Who says who callers of runners are, where AUTH_PROVIDER is "auth0" or "oidc"."""
        from knossos.accounts.openid import OpenIdIssuer

        # Requests wait for it: an issuer that does not answer in a few seconds does not answer.
        short = {"connect_timeout_seconds": 5.0, "read_timeout_seconds": 5.0}
        return OpenIdIssuer(self.settings, OutgoingHttp(self.settings.model_copy(update=short)))


def services() -> Services:
    """The services of the app that handles the current request."""
    return cast(Services, current_app.extensions[EXTENSION])
