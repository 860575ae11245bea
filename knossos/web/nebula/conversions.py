"""``mod/release/converted`` (ours): publish what the converter has made, in one step."""

from __future__ import annotations

from flask import Response, jsonify, request

from knossos.accounts.tokens import Scope
from knossos.web.addresses import mirror_base
from knossos.web.authentication import client_address
from knossos.web.nebula.blueprint import blueprint
from knossos.web.nebula.requests import caller, field, whole_number
from knossos.web.services import services

_YES = ("1", "true", "yes", "on")


@blueprint.post("/mod/release/converted")
def release_converted() -> Response:
    """``ticket`` and ``token`` of a conversion, ``dry_run`` -> as ``mod/release``, with ``mods``."""
    identity = caller(Scope.RELEASE)
    outcome = services().publisher.conversions.publish(
        identity,
        whole_number("ticket", least=1, most=10**15 - 1),
        field("token", longest=200),
        mirror_url=mirror_base(services().settings, request.scheme, request.host),
        dry_run=field("dry_run", required=False, longest=10).strip().lower() in _YES,
        address=client_address(),
    )
    return jsonify(outcome)
