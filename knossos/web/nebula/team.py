"""``mod/team/fetch`` and ``mod/team/update``: who is in the team of a mod, and in which role."""

from __future__ import annotations

from flask import Response

from knossos.accounts.tokens import Scope
from knossos.errors import InvalidInput
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import acting, caller, field, json_body
from knossos.web.services import services


@blueprint.post("/mod/team/fetch")
def fetch_team() -> Response:
    """``mid`` -> ``members``: names and roles, owners first."""
    identity = caller(Scope.READ)
    team = services().publisher.teams.fetch(identity, field("mid"))
    return answer(members=[{"user": member.user, "role": int(member.role)} for member in team])


@blueprint.post("/mod/team/update")
def update_team() -> Response:
    """``mid``, ``members``: the whole team as it shall be."""
    identity = caller(Scope.MANAGE)
    data = json_body()
    mod_id, members = data.get("mid"), data.get("members")
    errors = [] if isinstance(mod_id, str) else [{"path": "mid", "message": "expected the id of a mod"}]
    if not isinstance(members, list):
        errors.append({"path": "members", "message": "expected a list"})
    if not isinstance(mod_id, str) or not isinstance(members, list):
        raise InvalidInput("; ".join(f"{one['path']}: {one['message']}" for one in errors), errors=errors)
    services().publisher.teams.update(identity, mod_id, members, acting(identity))
    return answer()
