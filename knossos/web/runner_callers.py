"""Who calls a runner, by AUTH_PROVIDER, and who may have what came of it.

``none``: everybody, and a run's id is the key to it. ``knossos``: accounts, by their session or a token, and what their
roles may. ``auth0`` and ``oidc``: whoever has a token of that issuer. In all but the first a run is its owner's and the
operators', and for all others it is not there.
"""

from __future__ import annotations

from flask import request

from knossos.accounts.openid import HeaderMissing, bearer_token
from knossos.accounts.tokens import Scope
from knossos.errors import AccessDenied
from knossos.scripting.access import Caller, caller_of, may_call_runner
from knossos.scripting.plan import RunKind
from knossos.scripting.run_records import ANONYMOUS_OWNER, NoSuchRun, Run
from knossos.web.authentication import current_session, token_holder
from knossos.web.services import services


class MayNotCall(AccessDenied):
    """The caller may not call the runner ``runner``."""

    code = "may_not_call"


def owner_calling(runner: str) -> str:
    """Whose the run of that runner will be that this request asks for.

    Raises:
        BearerRefused: it does not say who asks.
        MayNotCall: it does, and they may not.
        IssuerUnavailable: nobody's token can be checked.
    """
    match services().settings.auth_provider:
        case "none":
            return ANONYMOUS_OWNER
        case "knossos":
            caller = _caller()
            if may_call_runner(caller, runner, services().settings):
                return caller.owner
            if caller.account is None and not caller.stands_in:
                raise HeaderMissing("Authorization header is expected")
            raise MayNotCall(f"{caller.name} may not call this runner.", runner=runner)
        case _:
            return services().issuer.check(request.headers.get("Authorization")).owner


def readable_run(run_id: str) -> Run:
    """The run of a runner, if whoever asks may have what came of it.

    Raises:
        NoSuchRun: there is none, or it is somebody else's.
        BearerRefused, IssuerUnavailable
    """
    provider = services().settings.auth_provider
    if provider == "none":
        owner, reads_all = "", True
    elif provider == "knossos":
        caller = _caller()
        owner = caller.owner
        reads_all = caller.account is not None and caller.account.is_operator and not caller.stands_in
    else:
        owner, reads_all = services().issuer.check(request.headers.get("Authorization")).owner, False
    run = services().scripting.runs.get(run_id)
    if run.kind is not RunKind.RUNNER or not (reads_all or run.owner in (owner, ANONYMOUS_OWNER)):
        raise NoSuchRun("There is no such run (any more).", run_id=run_id)
    return run


def _caller() -> Caller:
    """Who asks by this server's own means: a token in a header, else the session; nobody where there is neither."""
    if header := request.headers.get("Authorization"):
        bearer_token(header)  # says what is wrong with one that holds none
    holder = token_holder()
    if holder is None:
        session = current_session()
        return caller_of(None if session is None else session.account)
    holder.require(Scope.RUN)
    return holder.caller
