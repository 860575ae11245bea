"""Making guarded requests: one shared session, redirects followed by hand, answers read piece by piece.

Owns the session that all downloads and webhooks of a process share, and the translation of what requests and urllib3
raise into `OutgoingError`s. Does not retry and stores nothing. What always holds: no proxy and no password file of the
environment is used; a cookie lives only within one `visitor()`; the body of a redirect is never read; nothing is
unpacked on the way (`Accept-Encoding: identity`), so the bytes are those of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urljoin

import requests
import urllib3.exceptions
from requests_hardened import Config, HTTPSession

from knossos.outgoing.connections import GuardedAdapter
from knossos.outgoing.errors import (
    AnswerTooSlow,
    BadCertificate,
    BadRedirect,
    BrokenAnswer,
    OutgoingError,
    UnreachableHost,
)
from knossos.outgoing.guard import Guard, refusal, without_password
from knossos.outgoing.pace import Pace, current_pace
from knossos.settings import Settings

MAX_REDIRECTS = 10
USER_AGENT = "Knossos (mod packager)"
#: Redirects after which a form is sent again; after a 303, and for every GET, the new address is only read.
REPEATING = (301, 302, 307, 308)
REDIRECTS = (*REPEATING, 303)
#: Bytes asked for at once when a body is read. Bigger pieces gain nothing, smaller ones cost calls.
PIECE_BYTES = 1024 * 1024


if TYPE_CHECKING:
    # requests-hardened is published without type hints.
    HardenedSession = requests.Session
else:
    HardenedSession = HTTPSession


class GuardedSession(HardenedSession):
    """A requests session that reaches checked addresses only and follows no redirect by itself."""

    def __init__(self, guard: Guard, config: Config, patience_seconds: float, ca_bundle: Path | None) -> None:
        super().__init__(config)  # type: ignore[call-arg,unused-ignore]
        self._guard = guard
        self._patience_seconds = patience_seconds
        self.trust_env = False
        self.headers["Accept-Encoding"] = "identity"
        if ca_bundle is not None:
            self.verify = str(ca_bundle)
        self.adapters.clear()

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: requests would read the whole body of a redirect into memory, even where it does not follow it."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self._guard.check_url(request.url or "")
        if current_pace.get() is not None:
            return super().send(request, **options)
        # Someone uses the bare session: the same limits hold.
        with _paced(Pace(request.url or "", self._patience_seconds)):
            return super().send(request, **options)


class Reply:
    """An answer whose headers are here and whose body is still to be read. Close it, or use it in a `with` block."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.url = response.url
        self.status = response.status_code
        #: Case-insensitive.
        self.headers: Mapping[str, str] = response.headers

    def read1(self, size: int = PIECE_BYTES) -> bytes:
        """The next bytes as they come, at most `size`; b"" at the end.

        Raises:
            OutgoingError: the connection broke, was too slow, or ended before its Content-Length.
        """
        with _typed(self.url):
            return self._response.raw.read1(size, decode_content=False) or b""

    def read(self, limit: int) -> bytes:
        """The whole body, if it has at most `limit` bytes. Raises BrokenAnswer where it has more."""
        pieces: list[bytes] = []
        size = 0
        while piece := self.read1():
            size += len(piece)
            if size > limit:
                raise BrokenAnswer(f"{without_password(self.url)}: the answer is over {limit} bytes", url=self.url)
            pieces.append(piece)
        return b"".join(pieces)

    def text(self, limit: int) -> str:
        """The body as text, in the encoding that the headers name."""
        encoding = requests.utils.get_encoding_from_headers(self._response.headers) or "utf-8"
        body = self.read(limit)
        try:
            return body.decode(encoding, "replace")
        except LookupError:
            return body.decode("utf-8", "replace")

    def close(self) -> None:
        self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class OutgoingHttp:
    """Guarded HTTP for one process; threads may share it.

    Args:
        settings: time-outs and the private networks that may be reached.
        ca_bundle: a file of certificate authorities to believe instead of the usual ones.
    """

    def __init__(self, settings: Settings, *, ca_bundle: Path | None = None) -> None:
        self.guard = Guard(settings.allowed_private_networks)
        self._settings = settings
        self._ca_bundle = ca_bundle
        self._adapter = GuardedAdapter(self.guard)
        self._check: Callable[[], None] | None = None
        self._session = self._new_session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def session(self) -> requests.Session:
        """The guarded session itself, for what `open` does not offer. It follows no redirects."""
        return self._session

    def visitor(self, check: Callable[[], None] | None = None) -> OutgoingHttp:
        """The same with cookies of its own, for sites that follow a visitor from page to page.

        Args:
            check: what `open` takes where it is given none.
        """
        other = object.__new__(OutgoingHttp)
        other.guard = self.guard
        other._settings = self._settings
        other._ca_bundle = self._ca_bundle
        other._adapter = self._adapter
        other._check = check
        other._session = other._new_session()
        return other

    def open(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        body: bytes | None = None,
        method: Literal["GET", "HEAD"] = "GET",
        check: Callable[[], None] | None = None,
    ) -> Reply:
        """Request `url`, follow its redirects, and return the answer, whatever its status, once its headers are here.

        Args:
            headers: sent with each request on the way.
            form: fields to POST.
            body: bytes to POST as they are; `headers` should have their Content-Type.
            method: how to ask where nothing is posted.
            check: called about twice a second while waiting, now and later in the body; what it raises comes out.
        Raises:
            AddressRefused: the URL, or one it redirects to, may not be reached.
            OutgoingError: its other subclasses, each for what its name says.
        """
        for _ in range(MAX_REDIRECTS + 1):
            url = self.guard.check_url(url)
            reply = self._send(method, url, headers or {}, form if body is None else body, check)
            location = reply.headers.get("Location")
            if reply.status not in REDIRECTS or not location:
                return reply
            reply.close()
            if reply.status not in REPEATING:
                form = body = None
            # Header fields come as Latin-1, addresses in them are mostly UTF-8.
            target = location.encode("latin-1", "replace").decode("utf-8", "replace")
            try:
                url = urljoin(url, target)
            except ValueError as error:
                shown = without_password(url)
                raise BadRedirect(f"{shown} redirects to something that is no address", url=shown) from error
        shown = without_password(url)
        raise BadRedirect(f"{shown}: there are more than {MAX_REDIRECTS} redirects", url=shown)

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Mapping[str, str] | bytes | None,
        check: Callable[[], None] | None,
    ) -> Reply:
        with _typed(url), _paced(Pace(url, self._settings.read_timeout_seconds, check or self._check)):
            request = requests.Request(method if data is None else "POST", url, headers=dict(headers), data=data)
            return Reply(self._session.send(self._session.prepare_request(request), stream=True))

    def _new_session(self) -> GuardedSession:
        patience = self._settings.read_timeout_seconds
        config = Config(
            # The package's own filter looks at the first address of a name only and knows no exceptions.
            ip_filter_enable=False,
            ip_filter_allow_loopback_ips=False,
            never_redirect=True,
            # The Pace gives up first; this bounds what it cannot see, such as a TLS record that stops half-way.
            default_timeout=(self._settings.connect_timeout_seconds, patience + 1),
            user_agent_override=USER_AGENT,
        )
        session = GuardedSession(self.guard, config, patience, self._ca_bundle)
        session.mount("http://", self._adapter)
        session.mount("https://", self._adapter)
        return session


@contextmanager
def _paced(pace: Pace) -> Iterator[None]:
    token = current_pace.set(pace)
    try:
        yield
    finally:
        current_pace.reset(token)


@contextmanager
def _typed(url: str) -> Iterator[None]:
    """Turn what the libraries raise into our errors; ours pass."""
    shown = without_password(url)
    try:
        yield
    except OutgoingError:
        raise
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError) as error:
        raise BadCertificate(f"{shown}: no secure connection: {_reason(error)}", url=shown) from error
    except requests.exceptions.ConnectTimeout as error:
        raise UnreachableHost(f"{shown}: took too long to connect", url=shown) from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        raise AnswerTooSlow(f"{shown}: the server stopped sending", url=shown) from error
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
        raise refusal(url, _reason(error)) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        raise BrokenAnswer(f"{shown}: the connection broke: {_reason(error)}", url=shown) from error


def _reason(error: BaseException) -> str:
    """The innermost reason: the libraries wrap one error into another."""
    for _ in range(8):
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((part for part in reversed(error.args) if isinstance(part, BaseException)), None)
        if inner is None or inner is error:
            break
        error = inner
    return str(error) or type(error).__name__
