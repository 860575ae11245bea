"""Pages of those who publish: their mods, one mod with its releases, team and webhooks, and the form of a release.

The pages show what there is; what they change goes through the same API as the mod managers' requests, with the
session's cookie. So they need scripts, and hold no rule of their own. Nothing here may be kept by a cache.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for

from knossos.accounts.tokens import Identity
from knossos.publishing.errors import NoSuchMod, Refused
from knossos.publishing.release_rows import StoredRelease
from knossos.publishing.teams import TeamRole
from knossos.publishing.webhook_events import WebhookEvent
from knossos.publishing.webhooks import WebhookFormat
from knossos.web.authentication import page_account, visitor_identity
from knossos.web.security import keep_private
from knossos.web.services import services

#: What roles are called, and what they may.
ROLES = {
    TeamRole.OWNER: ("Owner", "does everything"),
    TeamRole.MANAGER: ("Manager", "publishes, and edits the team but for its owners"),
    TeamRole.UPLOADER: ("Uploader", "publishes, yanks and deletes releases"),
    TeamRole.TESTER: ("Tester", "sees private releases"),
}
#: What a new mod may be.
TYPES = {"mod": "Mod", "tc": "Total conversion", "engine": "Engine build", "tool": "Tool", "ext": "Extension"}
EVENTS = {
    WebhookEvent.RELEASE: "a release is published",
    WebhookEvent.DELETION: "a release is deleted",
    WebhookEvent.FAILED_VALIDATION: "a release is refused",
}
FORMATS = {WebhookFormat.JSON: "JSON, signed", WebhookFormat.DISCORD: "Discord message"}

blueprint = Blueprint("owner_pages", __name__, url_prefix="/publish")
keep_private(blueprint)


@blueprint.errorhandler(Refused)
@blueprint.errorhandler(NoSuchMod)
def _no_such_mod(error: Exception) -> Response:
    # In the same words for one that is none of theirs: who may not see a mod is not told that it exists.
    text = "There is no such mod, or you are not in its team."
    return make_response(render_template("error.html", status=404, title="Not found", message=text), 404)


@blueprint.get("")
def own_mods() -> str:
    found = services().publisher.workshop.mods_of(_identity())
    return render_template("publish/mods.html", mods=found, types=TYPES, roles=ROLES)


@blueprint.get("/<mod_id>")
def manage(mod_id: str) -> str:
    identity, publisher = _identity(), services().publisher
    bench = publisher.workshop.bench(identity, mod_id)
    publishes, leads = bench.role <= TeamRole.UPLOADER, bench.role <= TeamRole.MANAGER
    return render_template(
        "publish/mod.html",
        bench=bench,
        publishes=publishes,
        leads=leads,
        reports=publisher.reports.of_mod(identity, mod_id) if publishes else [],
        webhooks=publisher.webhooks.of_mod(identity, mod_id) if leads else [],
        roles=ROLES,
        events=EVENTS,
        formats=FORMATS,
    )


@blueprint.get("/<mod_id>/release")
def release_form(mod_id: str) -> str | Response:
    """``from``: the version that the form begins with, by default the newest; ``edit``: the one that is changed."""
    identity, publisher = _identity(), services().publisher
    bench = publisher.workshop.bench(identity, mod_id)
    if bench.role > TeamRole.UPLOADER:
        return make_response(redirect(url_for("owner_pages.manage", mod_id=mod_id), 303))
    edited = request.args.get("edit", "")
    release = _release(mod_id, edited or request.args.get("from", ""))
    if edited and release is None:
        abort(404, "There is no such version.")
    return render_template(
        "publish/release.html", bench=bench, editing=edited, start=_start(release, bench.facts.type), types=TYPES
    )


def _release(mod_id: str, version: str) -> StoredRelease | None:
    releases = services().publisher.releases
    found = releases.load(mod_id, version) if version else releases.latest(mod_id, private=True)
    return found if found is not None and found.state == "published" else None


def _start(release: StoredRelease | None, kind: str) -> dict[str, Any]:
    """What the form begins with: a release as it is stored, without the lists of files, which the server makes."""
    if release is None:
        return {"type": kind, "packages": []}
    data = release.document.model_dump(mode="json")
    for package in data["packages"]:
        del package["filelist"]
    return data


def _identity() -> Identity:
    """The visitor; one who is not logged in is led to do that first."""
    page_account()
    identity = visitor_identity()
    assert identity is not None
    return identity
