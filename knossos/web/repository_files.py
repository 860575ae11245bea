"""``/storage/repo.json``, ``/storage/repo_minimal.json``, their signatures, and ``/api/1/repo/changes``.

The lists are looked up by what is published at present and read under the names of their contents, so that validator
and bytes always belong together. In production nginx serves them where the storage is a folder, with the same ETags.
"""

from __future__ import annotations

import hashlib
import re

from flask import Blueprint, Response, request

from knossos.errors import NotFound
from knossos.publishing.changes import last_change
from knossos.publishing.repository.entries import encoded
from knossos.publishing.repository.feed import Page, change_at, changes_since
from knossos.publishing.repository.index import FORMAT, ListName
from knossos.publishing.repository.list_file import HEAD, TAIL
from knossos.publishing.repository.publication import FOLDER, PUBLIC_KEY, SIGNATURE
from knossos.web.nebula.blueprint import blueprint as nebula
from knossos.web.services import services
from knossos.web.stored_answers import NO_RIGHTS, stored_answer

ROUTE = "/storage"

#: Ask each time; "you have it already" costs next to nothing.
CACHE = "no-cache"
JSON, TEXT = "application/json", "text/plain; charset=utf-8"

#: A list or its signature by the sum of the list: what a signature is for, also when another list has come since.
_BY_CONTENTS = re.compile(r"(repo|repo_minimal)-[0-9a-f]{64}\.json(\.minisig)?")

#: Validator of the list without entries that is served before a worker has written the first.
NOTHING_YET = "nothing-yet"

blueprint = Blueprint("repository", __name__)


@blueprint.get(f"{ROUTE}/repo.json", defaults={"name": "repo"})
@blueprint.get(f"{ROUTE}/repo_minimal.json", defaults={"name": "repo_minimal"})
def present_list(name: ListName) -> Response:
    repository = services().publisher.repository
    for fresh in (False, True):
        published = repository.published(fresh=fresh)
        if published is None:
            return _nothing_yet()
        file = published.files[name]
        try:
            return _answer(file.key(name), JSON, file.etag)
        except NotFound:
            if fresh:  # else it was replaced, and removed, since we looked
                raise
    raise AssertionError("unreachable")


@blueprint.get(f"{ROUTE}/repo.json{SIGNATURE}", defaults={"name": "repo"})
@blueprint.get(f"{ROUTE}/repo_minimal.json{SIGNATURE}", defaults={"name": "repo_minimal"})
def present_signature(name: ListName) -> Response:
    published = services().publisher.repository.published(fresh=True)
    if published is None:
        raise NotFound("There is nothing at this address yet.")
    return _answer(published.files[name].key(name) + SIGNATURE, TEXT)


@blueprint.get(f"{ROUTE}/<name>")
def list_by_contents(name: str) -> Response:
    if not _BY_CONTENTS.fullmatch(name):
        raise NotFound("There is nothing at this address.")
    return _answer(f"{FOLDER}/{name}", TEXT if name.endswith(SIGNATURE) else JSON)


@blueprint.get(f"{ROUTE}/minisign.pub")
def public_key() -> Response:
    return _answer(PUBLIC_KEY, TEXT)


@nebula.get("/repo/changes")
def changes() -> Response:
    base = services().settings.base_url
    with services().database.reading() as session:
        since = change_at(session, request.args.get("since", "0"))
        etag = hashlib.sha256(f"{FORMAT} {base} {since} {last_change(session)}".encode()).hexdigest()[:32]
        response = Response(content_type=JSON, headers={"Cache-Control": CACHE, **NO_RIGHTS})
        response.set_etag(etag)
        if etag in request.if_none_match:
            response.status_code = 304
            return response
        response.set_data(_page(changes_since(session, since, base)))
    return response


def _page(page: Page) -> bytes:
    """The mods are JSON already: they are not read and written once more."""
    head = encoded({"result": True, "change": page.change, "more": page.more, "removed": page.removed})
    return b'%s,"mods":[%s]}\n' % (head[:-1], b",".join(page.mods))


def _answer(key: str, content_type: str, etag: str = "") -> Response:
    return stored_answer(services().publisher.storage, key, content_type=content_type, cache=CACHE, etag=etag)


def _nothing_yet() -> Response:
    """The repository before its files were written for the first time."""
    response = Response(content_type=JSON, headers={"Cache-Control": CACHE, **NO_RIGHTS})
    response.set_etag(NOTHING_YET)
    if NOTHING_YET in request.if_none_match:
        response.status_code = 304
    else:
        response.set_data(HEAD + TAIL)
    return response
