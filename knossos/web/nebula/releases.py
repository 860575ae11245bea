"""``mod/release...``, ``mod/list_private`` and ``mod/json``; beside them ours: ``dry_run``, ``yank``, ``unyank``."""

from __future__ import annotations

from flask import Response, jsonify

from knossos.accounts.tokens import Identity, Scope
from knossos.publishing.errors import Refused
from knossos.publishing.release_input import read_actions
from knossos.publishing.releases import Mode
from knossos.publishing.webhook_events import WebhookEvent
from knossos.web.authentication import client_address, header_token, visitor_identity
from knossos.web.nebula.blueprint import answer, blueprint
from knossos.web.nebula.requests import acting, caller, field, json_body
from knossos.web.services import services

#: Longest reason of a yank, and longest report, that is read, in characters.
MAX_TEXT_CHARS = 20_000


@blueprint.post("/mod/release/preflight")
def preflight() -> Response:
    """A full mod -> whether it could be published, as far as that can be said before its files are there."""
    return _submit(Mode.PREFLIGHT)


@blueprint.post("/mod/release/dry_run")
def dry_run() -> Response:
    """A full mod whose files are uploaded -> whether it could be published. Stores nothing."""
    return _submit(Mode.DRY_RUN)


@blueprint.post("/mod/release")
def release() -> Response:
    """A full mod: publish it."""
    return _submit(Mode.RELEASE)


@blueprint.post("/mod/release/update")
def update_release() -> Response:
    """A full mod: change what is said of a release. Its files and lists of files stay."""
    return _submit(Mode.UPDATE)


@blueprint.post("/mod/release/delete")
def delete_release() -> Response:
    """``mid``, ``version``: hide a release."""
    identity, mod_id, version = _named(Scope.RELEASE)
    gone = services().publisher.releases.delete(identity, mod_id, version, acting(identity))
    details = {"title": gone.document.title, "user": identity.name, "private": gone.private}
    services().publisher.webhooks.tell(WebhookEvent.DELETION, mod_id, gone.version, details)
    return answer()


@blueprint.post("/mod/release/yank")
def yank_release() -> Response:
    """``mid``, ``version``, ``reason``: offer a release only to those who depend on it."""
    identity, mod_id, version = _named(Scope.RELEASE)
    reason = field("reason", required=False, longest=MAX_TEXT_CHARS).replace("\0", "").strip()
    services().publisher.releases.yank(identity, mod_id, version, reason, acting(identity))
    return answer()


@blueprint.post("/mod/release/unyank")
def unyank_release() -> Response:
    """``mid``, ``version``: offer it to everyone again."""
    identity, mod_id, version = _named(Scope.RELEASE)
    services().publisher.releases.unyank(identity, mod_id, version, acting(identity))
    return answer()


@blueprint.post("/mod/release/report")
def report_release() -> Response:
    """``mid``, ``version``, ``message``: tell the mod's team what is wrong with a release."""
    identity, mod_id, version = _named(Scope.READ)
    services().publisher.reports.add(identity, mod_id, version, field("message", longest=MAX_TEXT_CHARS))
    return answer()


@blueprint.get("/mod/list_private")
def list_private() -> Response:
    """-> ``mods``: the private releases of the caller's teams, as full mods."""
    return answer(mods=services().publisher.full_mods.private(caller(Scope.READ)))


@blueprint.get("/mod/json/<mod_id>/<version>")
def mod_json(mod_id: str, version: str) -> Response:
    """-> ``mod``. Who sends a token sees the private releases of their teams as well."""
    identity = caller(Scope.READ) if header_token() else visitor_identity()
    return answer(mod=services().publisher.full_mods.find(identity, mod_id, version))


def _submit(mode: Mode) -> Response:
    identity = caller(Scope.RELEASE)
    data = json_body()
    publisher = services().publisher
    try:
        document = publisher.releases.accept(identity, data, mode=mode)
    except Refused as refusal:
        if mode in (Mode.RELEASE, Mode.UPDATE):
            publisher.webhooks.tell_refused(identity, data, refusal)
        raise
    actions = () if mode is Mode.UPDATE else read_actions(data)
    outcome = publisher.submissions.run(identity, document, mode, actions=actions, address=client_address())
    return jsonify(outcome)


def _named(scope: Scope) -> tuple[Identity, str, str]:
    """The caller, and the mod and version that a form names."""
    return caller(scope), field("mid"), field("version").strip()
