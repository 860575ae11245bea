"""Who is asking: the session cookie, a token in a header, the API key, the token of a task.

The cookie holds a session, or the token of a run, by which a script acts for its caller; which of them, and whether it
is good, is looked at once for each request (`cookie_holder`).

A cookie counts for a request that changes something only where the request came from a page of this server
(`is_same_origin`): no other site can act in a visitor's name. That holds beside the cookie's SameSite=Lax. No browser
has the token of a run, so what is no browser may send that with everything. Keys, tokens of tasks and tokens in headers
are secrets that another site does not have, so they need no such check.

A token in a header (``Authorization: Bearer``, or ``X-KN-TOKEN``) counts where a program may ask, if it has the scope
that is asked for there (`session_for`); pages do not heed it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Response, abort, g, redirect, request, url_for

from knossos.accounts import COOKIE_NAME, Account, Session, api_keys, find_api_key
from knossos.accounts.access import may_control, may_watch, owner_of_account, owner_of_key
from knossos.accounts.openid import BearerExpired, InvalidHeader
from knossos.accounts.tokens import Identity, Scope, TokenExpired, identity_of
from knossos.errors import AccessDenied
from knossos.jobs import JobNotFound, JobRecord
from knossos.scripting.credentials import Holder, scope_to_see, scope_to_steer
from knossos.scripting.tokens import RunTokenExpired
from knossos.web.addresses import origin_of
from knossos.web.services import services

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Where mod managers put their token.
TOKEN_HEADER = "X-KN-TOKEN"  # noqa: S105 (the name of a header)


def cookie_holder() -> Holder | None:
    """Who the cookie says is asking, whether or not it may count here; None where there is none, or it is not good."""
    if "holder" not in g:
        g.holder = services().credentials.of_cookie(request.cookies.get(COOKIE_NAME, ""))
    holder: Holder | None = g.holder
    return holder


def header_token() -> str:
    """The token that a header has: of an account or a run, or a session; "" where there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # Another scheme is not for us: a server before this one may have asked for a password of its own.
    return token.strip() if scheme.lower() == "bearer" else request.headers.get(TOKEN_HEADER, "")


def token_holder() -> Holder | None:
    """Who holds the token of a header; None where there is none.

    Raises:
        BearerRefused: it is not good.
    """
    if "token_holder" not in g:
        token = header_token()
        try:
            g.token_holder = services().credentials.of_token(token) if token else None
        except (TokenExpired, RunTokenExpired) as error:
            raise BearerExpired(error.message) from error
        except AccessDenied as error:
            raise InvalidHeader(error.message) from error
    holder: Holder | None = g.token_holder
    return holder


def session_for(scope: Scope) -> Session | None:
    """Who asks where programs may: by a token that has the scope, else by the session, where it may count.

    Raises:
        AccessDenied: the token is not good, or lacks the scope.
    """
    holder = token_holder()
    if holder is None:
        return current_session()
    holder.require(scope)
    return holder.session


def current_session() -> Session | None:
    """The session of the visitor's cookie, for what is shown. None where it may not count (see the module).

    A script that acts in its caller's person has one as well; one with roles of its own has none.
    """
    if "session" not in g:
        g.session = _session()
    session: Session | None = g.session
    return session


def _session() -> Session | None:
    holder = cookie_holder()
    if holder is None:
        return None
    counts = request.method in SAFE_METHODS or is_same_origin() or (holder.by_run and is_no_browser())
    return holder.session if counts else None


def visiting_session() -> Session | None:
    """Who asks, by whatever token or session, for no more than to be told who they are."""
    holder = token_holder()
    return current_session() if holder is None else holder.session


def visitor_identity() -> Identity | None:
    """The visitor by their session, with every scope; None where nobody is logged in, or it may not count."""
    session = current_session()
    return None if session is None else identity_of(session.account)


def client_address() -> str:
    """The network address of the client: behind trusted proxies the one that they tell (TRUSTED_PROXIES)."""
    return request.remote_addr or ""


def is_same_origin() -> bool:
    """Whether a page of this server sent the request, as the browser says.

    Browsers send Sec-Fetch-Site over HTTPS and to loopback, and Origin with every POST. A client that sends
    neither is no browser of today, and is not taken for one.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin")
    own = {f"{request.scheme}://{request.host}"}
    if services().settings.public_url:
        own.add(origin_of(services().settings.public_url))
    return origin in own


def is_no_browser() -> bool:
    """Whether a program sent the request: a browser says with each that could change something where it comes from."""
    return "Origin" not in request.headers and "Sec-Fetch-Site" not in request.headers


def refuse_other_sites() -> None:
    """For what a form changes: raise AccessDenied unless a page of this server sent it."""
    if not is_same_origin():
        raise AccessDenied("This form was sent from another site. Open the page here and try again.")


def refuse_runs() -> None:
    """For what outlasts a run, or is its caller's alone: raise AccessDenied where a script asks for it."""
    holder = cookie_holder()
    if holder is not None and holder.by_run:
        raise AccessDenied("A script may not do that in its caller's name.")


def take_own_forms_only() -> None:
    """Before requests of pages: what changes something comes from a page of this server, and from a person.

    Raises:
        AccessDenied: another site sent it, or a script in its caller's name.
    """
    if request.method not in SAFE_METHODS:
        refuse_other_sites()
        refuse_runs()


def page_operator() -> Account:
    """The account of a page that is for operators. Raises AccessDenied for others who are logged in."""
    account = page_account()
    if not account.is_operator:
        raise AccessDenied("This page is for those who run this server.")
    return account


def page_account() -> Account:
    """The account of a page's visitor. Somebody who is not logged in is led to do that, and then back to the page.

    Raises:
        AccessDenied: it is a script, with the token of its run: such pages show what is its caller's alone, such as
            the files of their home.
    """
    refuse_runs()
    session = current_session()
    if session is None:
        page = request.full_path if request.method in SAFE_METHODS else _page_before()
        abort(redirect(url_for("login.form", next=page.rstrip("?") or "/"), 303))
    return session.account


def _page_before() -> str:
    """The path of the page that the browser says it came from; "" where it says nothing, or no address."""
    try:
        return urlsplit(request.referrer or "").path
    except ValueError:
        return ""


def start_session(response: Response, account: Account) -> None:
    response.set_cookie(
        COOKIE_NAME,
        services().sessions.issue(account),
        max_age=int(services().settings.session_lifetime),
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )


def end_session(response: Response) -> None:
    """Log out: the cookie goes, and the session or the run's token that it holds is void, wherever it is sent from."""
    holder, cookie = cookie_holder(), request.cookies.get(COOKIE_NAME, "")
    if holder is not None and holder.by_run:
        services().scripting.tokens.revoke(cookie)
    elif holder is not None:
        services().sessions.end(cookie)
    services().sessions.end(header_token())
    response.delete_cookie(COOKIE_NAME, httponly=True, samesite="Lax", secure=request.is_secure)


def submitting_owner() -> str:
    """The owner of what is submitted: the API key ``passwd`` where one is sent, else the visitor's account.

    Raises:
        AccessDenied: the key is unknown, or there is neither a key nor a session that counts.
    """
    settings = services().settings
    key = request.form.get("passwd", "")
    if key:
        index = find_api_key(settings, key)
        if index is not None:
            return owner_of_key(api_keys(settings)[index])
        raise AccessDenied("Access denied")
    session = current_session()
    if session is None:
        raise AccessDenied("Access denied")
    return owner_of_account(session.name)


def task_token() -> str:
    return request.args.get("token") or request.form.get("token", "")


def watched_task(ticket: int) -> JobRecord:
    """The task, if the caller may watch it; else JobNotFound, as if it did not exist."""
    record = _find(ticket)
    if not may_watch(record, token=task_token(), session=_session_for(record), settings=services().settings):
        raise _no_such_task(ticket)
    _require_scope(record)
    return record


def controlled_task(ticket: int) -> JobRecord:
    """The task, if the caller may stop it and have its result; else JobNotFound."""
    record = _find(ticket)
    if not controls(record):
        raise _no_such_task(ticket)
    _require_scope(record)
    return record


def _require_scope(record: JobRecord) -> None:
    """For what ends a task or answers its question: raise AccessDenied where that is asked for by a token that may only
    see it. Who has shown the task's own token, or finds it open, needs none."""
    holder = None if request.method in SAFE_METHODS else token_holder()
    if holder is not None and not may_watch(record, token=task_token(), session=None, settings=services().settings):
        holder.require(scope_to_steer(record.kind))


def controls(record: JobRecord) -> bool:
    return may_control(record, token=task_token(), session=_session_for(record))


def _session_for(record: JobRecord) -> Session | None:
    """Whoever asks, if a token that they have may be used for such tasks; what it may not is not there for it."""
    holder = token_holder()
    return current_session() if holder is None else holder.session_if(scope_to_see(record.kind))


def _find(ticket: int) -> JobRecord:
    try:
        return services().engine.find(ticket, withheld=True)  # whoever asks is looked at next
    except JobNotFound as error:
        # In the same words as for one that the caller may not see: the text must not tell them apart.
        raise _no_such_task(ticket) from error


def _no_such_task(ticket: int) -> JobNotFound:
    return JobNotFound(f"There is no task {ticket} (any more), or this link lacks its token.", ticket=ticket)
