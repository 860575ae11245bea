"""``mod/editable``, ``is_editable``, ``check_id``, ``create``, ``update``: mods, apart from their releases."""

from __future__ import annotations

from flask import Response

from knossos.accounts.tokens import Scope
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import acting, caller, field, json_body
from knossos.web.services import services


@blueprint.get("/mod/editable")
def editable() -> Response:
    """-> ``mods``: ids of those in which the caller may publish."""
    return answer(mods=services().publisher.mods.editable(caller(Scope.READ)))


@blueprint.post("/mod/is_editable")
def is_editable() -> Response:
    """``mid`` -> ``result``, ``missing``; of an unknown id both are true."""
    identity = caller(Scope.READ)
    may = services().publisher.mods.may_publish(identity, field("mid"))
    if may is False:
        return answer(result=False, missing=False, reason="unauthorized")
    return answer(missing=may is None)


@blueprint.post("/mod/check_id")
def check_id() -> Response:
    """``id``, ``title`` -> whether the id may be given to a new mod."""
    caller(Scope.READ)
    reason = services().publisher.mods.why_not(field("id"))
    return answer(result=False, reason=reason) if reason else answer()


@blueprint.post("/mod/create")
def create() -> Response:
    """``id``, ``title``, ``type``, ``parent``, ``logo``, ``tile``, ``first_release``; the caller is its owner."""
    identity = caller(Scope.MANAGE)
    mods = services().publisher.mods
    mods.create(mods.read_new(json_body()), identity.user_id, acting(identity))
    return answer()


@blueprint.post("/mod/update")
def update() -> Response:
    """``id``, ``title``, ``logo``, ``tile``, ``first_release``; what is not there stays."""
    identity = caller(Scope.MANAGE)
    mods = services().publisher.mods
    mod_id, changes = mods.read_changes(json_body())
    mods.update(identity, mod_id, changes, acting(identity))
    return answer()
