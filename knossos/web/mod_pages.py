"""Pages of mods: the list with its search, and a page for each mod and each of its versions.

Rendered here, and whole without scripts. A visitor sees what everyone may see and the private releases of their own
teams; what they may not see is a 404 in the same words as what does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for

from knossos.accounts.tokens import identity_of
from knossos.errors import NotFound
from knossos.publishing.catalogue import ModPage, Sort
from knossos.publishing.errors import NoSuchRelease, Refused
from knossos.web import mod_views
from knossos.web.authentication import page_account, refuse_other_sites, visitor_identity
from knossos.web.services import services

#: Longest text that is searched for, in characters.
MAX_SEARCH_CHARS = 100
#: Largest number of a page or a package that means one.
MAX_PAGE = 1_000_000

TYPES = {"": "All types", **mod_views.TYPE_NAMES}
STABILITIES = {"": "Any", **mod_views.STABILITY_NAMES}
ORDERS: dict[Sort, str] = {"updated": "Last updated", "newest": "Newest", "title": "Title"}
DEFAULT_SORT: Sort = "updated"

blueprint = Blueprint("mod_pages", __name__)


@dataclass(frozen=True)
class Query:
    """What the list is asked for. What is not known counts as not given."""

    text: str
    type: str
    stability: str
    sort: Sort

    @property
    def is_filter(self) -> bool:
        return bool(self.text or self.type or self.stability)

    def address(self, page: int) -> str:
        """The address of a page of what this asks for, without what is not asked."""
        sort = "" if self.sort == DEFAULT_SORT else self.sort
        number = str(page) if page > 1 else ""
        asked = {"q": self.text, "type": self.type, "stability": self.stability, "sort": sort, "page": number}
        given: dict[str, Any] = {name: value for name, value in asked.items() if value}
        return url_for("mod_pages.mods", **given)


def _query() -> Query:
    chosen, stability = request.args.get("type", ""), request.args.get("stability", "")
    sort = request.args.get("sort", "")
    return Query(
        text=request.args.get("q", "").replace("\0", "").strip()[:MAX_SEARCH_CHARS],
        type=chosen if chosen in TYPES else "",
        stability=stability if stability in STABILITIES else "",
        sort=next((known for known in ORDERS if known == sort), DEFAULT_SORT),
    )


@blueprint.get("/mods")
def mods() -> str:
    query = _query()
    found = services().publisher.catalogue.search(
        visitor_identity(),
        text=query.text,
        type=query.type or None,
        stability=query.stability or None,
        sort=query.sort,
        page=min(request.args.get("page", 1, type=int), MAX_PAGE),
    )
    return render_template(
        "mods/list.html",
        query=query,
        found=found,
        address=query.address,
        types=TYPES,
        stabilities=STABILITIES,
        orders=ORDERS,
    )


@blueprint.get("/mods/<mod_id>")
def mod(mod_id: str) -> str:
    return _mod_page(mod_id)


@blueprint.get("/mods/<mod_id>/<version>")
def release(mod_id: str, version: str) -> str:
    return _mod_page(mod_id, version, reported=bool(request.args.get("reported")))


@blueprint.get("/mods/<mod_id>/<version>/files/<int:number>")
def files(mod_id: str, version: str, number: int) -> Response:
    """The installed files of a package, as ``sha256sum -c`` reads them."""
    found = _find(mod_id, version)
    packages = found.release.document.packages
    if number >= len(packages):
        raise NotFound("There is no such package.")
    lines = (mod_views.sum_line(entry.checksum[1], entry.filename) for entry in packages[number].filelist)
    return Response("".join(lines), mimetype="text/plain")


@blueprint.post("/mods/<mod_id>/<version>/report")
def report(mod_id: str, version: str) -> Response:
    refuse_other_sites()
    identity = identity_of(page_account())
    message = request.form.get("message", "")
    try:
        services().publisher.reports.add(identity, mod_id, version, message)
    except Refused as error:
        reason = "Say what is wrong." if not message.strip() else error.message
        return make_response(_mod_page(mod_id, version, report_error=reason, report_message=message), 400)
    return make_response(redirect(url_for("mod_pages.release", mod_id=mod_id, version=version, reported=1), 303))


def _mod_page(
    mod_id: str, version: str = "", *, reported: bool = False, report_error: str = "", report_message: str = ""
) -> str:
    found = _find(mod_id, version)
    document = found.release.document
    downloads = services().publisher.tracking.downloads(found.id)
    return render_template(
        "mods/mod.html",
        mod=found,
        document=document,
        release=found.release,
        team=[mod_views.member(one.user, one.role) for one in found.team],
        needs=mod_views.needs(document, found.titles),
        parent_title=found.titles.get(document.parent or ""),
        downloads=sum(downloads.values()),
        total_bytes=mod_views.total_bytes(document),
        required_bytes=mod_views.total_bytes(document, only_required=True),
        reported=reported,
        report_error=report_error,
        report_message=report_message,
    )


def _find(mod_id: str, version: str) -> ModPage:
    try:
        return services().publisher.catalogue.page(visitor_identity(), mod_id, version or None)
    except NoSuchRelease as error:
        # Without a version only the team comes here: others do not know of a mod without releases.
        raise error if version else NotFound("This mod has no release yet.") from error
