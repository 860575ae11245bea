"""``/home/``: the files of whoever visits, as a file manager.

Lists, what is in files, downloads, zips, uploads, new folders and removing are whole without scripts of the browser;
renaming, moving and copying are done by static/js/home/ through the API (`script_server/files.py`), and so are uploads
where it runs scripts. Nothing of a file is ever shown as a page: texts and tables are written into ours, and pictures
are drawn by an <img>.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, make_response, redirect, render_template, request

from knossos.accounts import Account
from knossos.errors import InvalidInput, KnossosError, NotFound
from knossos.homes import (
    BadPath,
    Home,
    HomeFull,
    HomesMissing,
    LeavesHome,
    NoSuchPath,
    OpenedFile,
    OpenedFolder,
    PathTaken,
)
from knossos.homes.errors import NotAFile
from knossos.homes.listing import SortBy, listing
from knossos.homes.paths import MAX_NAME_BYTES, parts_of
from knossos.homes.previews import picture_type
from knossos.homes.previews.pictures import HEAD_BYTES
from knossos.web.authentication import page_account, take_own_forms_only
from knossos.web.errors import status_of
from knossos.web.home_files import home_file, quoted, sent_path, zip_answer
from knossos.web.home_uploads import take_files
from knossos.web.home_views import (
    FILES,
    PAGES,
    PICTURE_BYTES,
    TABLE_PAGE,
    columns,
    crumbs,
    delimiter_name,
    names_of,
    preview,
    row,
    visible_name,
    with_query,
)
from knossos.web.security import keep_private
from knossos.web.services import services

#: Longest text that is searched for, in characters.
MAX_SEARCH_CHARS = 100
#: Most bytes of a form with the names of chosen files.
FORM_BYTES = 1024 * 1024

blueprint = Blueprint("home_pages", __name__)
blueprint.before_request(take_own_forms_only)
keep_private(blueprint)


@blueprint.errorhandler(HomesMissing)
def _gone(error: HomesMissing) -> tuple[str, int, dict[str, str]]:
    return render_template("home/gone.html", message=error.message), 503, {"Retry-After": "60"}


@blueprint.errorhandler(NoSuchPath)
def _no_such_path(error: NoSuchPath) -> tuple[str, int]:
    trail = crumbs(sent_path(PAGES))
    return render_template("home/nothing.html", trail=trail), 404


@blueprint.errorhandler(LeavesHome)
@blueprint.errorhandler(NotAFile)
def _not_shown(error: LeavesHome | NotAFile) -> tuple[str, int]:
    """Links, pipes, and paths out of the home: with the way back to where they lie."""
    try:
        trail = crumbs(sent_path(PAGES))
    except KnossosError:
        trail = crumbs("")
    return render_template("home/nothing.html", trail=trail, refusal=error.message), status_of(error)


# --- look ------------------------------------------------------------------------------------------------


@blueprint.get("/home/")
@blueprint.get("/home/<home_path:path>", merge_slashes=False)
def files(path: str = "") -> Response:
    account = page_account()
    path = "/".join(parts_of(sent_path(PAGES)))
    with services().homes.open(account.user_id) as home:
        found = home.open(path)
    if isinstance(found, OpenedFile) and "picture" in request.args:
        return _picture(found)
    try:
        return make_response(_folder_page(found, path) if isinstance(found, OpenedFolder) else _file_page(found, path))
    finally:
        found.close()


def _folder_page(folder: OpenedFolder, path: str, error: str = "", name: str = "") -> str:
    by = SortBy(request.args["sort"]) if request.args.get("sort") in list(SortBy) else SortBy.NAME
    descending = request.args.get("order") == "desc"
    text = request.args.get("q", "").replace("\0", "").strip()[:MAX_SEARCH_CHARS]
    page = request.args.get("page", 1, type=int)
    found = listing(folder.entries(), by, descending=descending, text=text, page=page)
    address, inside = PAGES + quoted(path), f"{path}/" if path else ""
    return render_template(
        "home/folder.html",
        trail=crumbs(path),
        address=address,
        files=FILES + quoted(path),
        inside=FILES + quoted(inside),
        path=quoted(path),
        listing=found,
        rows=[row(inside, entry) for entry in found.entries],
        columns=columns(address, by, descending=descending, text=text),
        text=text,
        by=by,
        descending=descending,
        page_address=lambda number: with_query(address, by, descending=descending, text=text, page=number),
        error=error,
        name=name,
        can_run=bool(services().settings.command),
    )


def _file_page(file: OpenedFile, path: str) -> str:
    found = preview(file, request.args.get("as", ""))
    address, trail = PAGES + quoted(path), crumbs(path)
    table, page = found.table, 1
    pages = max(1, -(-len(table.rows) // TABLE_PAGE)) if table else 1
    page = min(max(1, request.args.get("page", 1, type=int)), pages)
    wanted = request.args.get("as", "")
    chosen = f"as={wanted}&" if wanted in ("text", "table") else ""
    return render_template(
        "home/file.html",
        trail=trail,
        name=trail[-1].name,
        file=file,
        address=address,
        files=FILES + quoted(path),
        path=quoted(path),
        folder=trail[-2],
        preview=found,
        rows=table.rows[(page - 1) * TABLE_PAGE : page * TABLE_PAGE] if table else (),
        first=(page - 1) * TABLE_PAGE,
        delimiter=delimiter_name(table.delimiter) if table else "",
        page=page,
        pages=pages,
        page_address=lambda number: f"{address}?{chosen}page={number}",
    )


def _picture(file: OpenedFile) -> Response:
    """A picture for an <img>: by what it is and not by its name, and a download wherever else somebody opens it."""
    try:
        kind = picture_type(b"".join(file.read(0, HEAD_BYTES)))
        if kind is None or file.size > PICTURE_BYTES:
            raise NotFound("This is no picture that can be shown.")
        response = home_file(file, kind)
    except BaseException:
        file.close()
        raise
    response.call_on_close(file.close)
    return response


# --- change ----------------------------------------------------------------------------------------------


@blueprint.post("/home/")
@blueprint.post("/home/<home_path:path>", merge_slashes=False)
def change(path: str = "") -> Response | tuple[str, int] | str:
    account = page_account()
    if request.mimetype == "multipart/form-data":
        return _upload(account, "/".join(parts_of(sent_path(PAGES))))
    request.max_content_length = request.max_form_memory_size = FORM_BYTES
    path = "/".join(parts_of(sent_path(PAGES)))
    names, do = names_of(request.form.getlist("name")), request.form.get("do", "")
    with services().homes.open(account.user_id) as home:
        try:
            if do == "mkdir":
                home.make_folder(path, request.form.get("folder", "").strip())
            elif not names:
                raise InvalidInput("Choose something first.", errors=[])
            elif do == "zip":
                return _zip(home, path, names)
            elif do == "delete" and not request.form.get("sure"):
                return _ask(path, names)
            elif do == "delete":
                _remove(home, path, names)
            else:
                raise InvalidInput("do: expected mkdir, zip or delete", errors=[])
        except KnossosError as error:
            return _refused(home, path, error)
    return make_response(redirect(PAGES + quoted(path), 303))


def _upload(account: Account, path: str) -> Response:
    """Files out of the form of a browser that runs no scripts; they go into the home as they arrive."""
    with services().homes.open(account.user_id) as home:
        try:
            if not take_files(home, path):
                raise InvalidInput("Choose a file first.", errors=[])
        except KnossosError as error:
            return _refused(home, path, error)
    return make_response(redirect(PAGES + quoted(path), 303))


def _zip(home: Home, path: str, names: list[str]) -> Response:
    found = home.open(path)
    if not isinstance(found, OpenedFolder):
        found.close()
        raise NoSuchPath("There is no folder at this path.")
    try:
        parts = parts_of(path)
        name = names[0] if len(names) == 1 else parts[-1] if parts else "home"
        response = zip_answer(found, names, f"{name}.zip")
    except BaseException:
        found.close()
        raise
    response.call_on_close(found.close)
    return response


def _ask(path: str, names: list[str]) -> str:
    chosen = [(quoted(name), visible_name(name)) for name in names]
    return render_template("home/delete.html", trail=crumbs(path), address=PAGES + quoted(path), chosen=chosen)


def _remove(home: Home, path: str, names: list[str]) -> None:
    for name in names:
        try:
            home.remove(f"{path}/{name}")
        except NoSuchPath:
            continue  # somebody was quicker


def _refused(home: Home, path: str, error: KnossosError) -> Response:
    """The page of the folder, which says what went wrong."""
    found = home.open(path)
    if not isinstance(found, OpenedFolder):
        found.close()
        raise error
    message = error.message
    sent: Mapping[str, str] = {} if request.mimetype == "multipart/form-data" else request.form
    if sent.get("do") == "mkdir" and isinstance(error, BadPath | LeavesHome):
        message = f"Choose a name of at most {MAX_NAME_BYTES} bytes that has no slash in it."
    try:
        return make_response(_folder_page(found, path, message, sent.get("folder", "")), _status(error))
    finally:
        found.close()


def _status(error: KnossosError) -> int:
    if isinstance(error, PathTaken):
        return 409
    return 413 if isinstance(error, HomeFull) else status_of(error)
