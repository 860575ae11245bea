"""Bearer tokens of an OpenID Connect issuer: whose they are, by the issuer's own keys.

Owns the check of a token (a signed JWT: signature, issuer, audience, times) and the keys, which are fetched from the
issuer through the guard of `knossos.outgoing`, kept, and fetched again now and then or for a key that is not known.
What always holds: the issuer's keys say which signatures count, never the token; an unsigned token and one that is
signed with a shared secret are none; and however many tokens with unknown keys come, the issuer is asked only once in a
while.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt import PyJWK

from knossos.errors import AccessDenied, MissingDependency
from knossos.outgoing import OutgoingHttp
from knossos.outgoing.errors import AnswerTooSlow, OutgoingError
from knossos.settings import Settings

#: A longer text is no token.
MAX_TOKEN_CHARS = 16 * 1024
#: Most bytes of what the issuer says of itself, and of its keys; and most keys.
MAX_DOCUMENT_BYTES = 1024 * 1024
MAX_KEYS = 200
#: Seconds that the issuer's clock may differ from ours.
LEEWAY_SECONDS = 30
#: Seconds after which keys are fetched again, between two tries at it, and for which old ones count where that fails.
FRESH_SECONDS = 600.0
RETRY_SECONDS = 30.0
USABLE_SECONDS = 86400.0
#: Seconds that fetching one document may take.
FETCH_SECONDS = 10.0
#: Longest name of an owner: what the table of runs holds.
MAX_OWNER_CHARS = 200

#: Begins what stands for a subject that is too long, or cannot be shown, in the name of an owner.
_HASHED = "sha256-"
#: Signatures that count, by the kind of key.
_RSA = frozenset({"RS256", "PS256"})
_ELLIPTIC = frozenset({"ES256"})

_log = logging.getLogger(__name__)


class BearerRefused(AccessDenied):
    """The request's token does not say who asks. Its subclasses have the words of script-runner.md."""


class HeaderMissing(BearerRefused):
    code = "authorization_header_missing"


class InvalidHeader(BearerRefused):
    """There is no token, or none that this issuer has signed."""

    code = "invalid_header"


class BearerExpired(BearerRefused):
    code = "token_expired"


class InvalidClaims(BearerRefused):
    """It is the issuer's, but for somebody else, or not good yet."""

    code = "invalid_claims"


class IssuerUnavailable(MissingDependency):
    """The issuer's keys cannot be had, so no token can be checked."""

    code = "issuer_unavailable"


@dataclass(frozen=True)
class Subject:
    """Whom a token speaks of."""

    issuer: str
    sub: str

    @property
    def owner(self) -> str:
        """Whose the runs are, as the engine names owners."""
        prefix = f"openid:{urlsplit(self.issuer).netloc.lower()}:"
        plain = self.sub.isprintable() and len(prefix + self.sub) <= MAX_OWNER_CHARS
        if plain and not self.sub.startswith(_HASHED):
            return prefix + self.sub
        digest = hashlib.sha256(self.sub.encode("utf-8", "surrogatepass")).hexdigest()
        return prefix[: MAX_OWNER_CHARS - len(_HASHED + digest)] + _HASHED + digest


@dataclass(frozen=True)
class _Keys:
    """The issuer's keys by their ids and algorithms, and when they were fetched."""

    issuer: str
    by_id: dict[tuple[str, str], PyJWK]
    fetched_at: float


class OpenIdIssuer:
    """The issuer that AUTH_PROVIDER names. Safe for threads.

    Args:
        http: guarded; an issuer in a private network has to be in ALLOWED_PRIVATE_NETWORKS.
        clock: seconds that only go up.
    """

    def __init__(self, settings: Settings, http: OutgoingHttp, clock: Callable[[], float] = time.monotonic) -> None:
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: _Keys | None = None
        self._tried_at: float | None = None
        self._is_auth0 = settings.auth_provider == "auth0"
        if self._is_auth0:
            self._address, self._audience = f"https://{settings.auth0_domain}/", settings.auth0_api_audience
            self._algorithms = frozenset({"RS256"})
        else:
            self._address, self._audience = settings.oidc_issuer, settings.oidc_audience
            self._algorithms = _RSA | _ELLIPTIC

    def check(self, authorization: str | None) -> Subject:
        """Whose the token in an Authorization header is.

        Raises:
            BearerRefused: its subclasses.
            IssuerUnavailable: its keys are not known and cannot be fetched.
        """
        token = bearer_token(authorization)
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise InvalidHeader("Unable to parse authentication token.") from error
        kid, algorithm = header.get("kid", ""), header.get("alg")
        if not isinstance(kid, str) or not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise InvalidHeader(f"Expected a token that is signed with one of: {', '.join(sorted(self._algorithms))}.")
        keys, key = self._key(kid, algorithm)
        return self._verified(token, keys.issuer, key, algorithm)

    def _verified(self, token: str, issuer: str, key: PyJWK, algorithm: str) -> Subject:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except jwt.ExpiredSignatureError as error:
            raise BearerExpired("token is expired") from error
        except _CLAIMS as error:
            raise InvalidClaims("incorrect claims, please check the audience and issuer") from error
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise InvalidHeader("Unable to parse authentication token.") from error
        return Subject(issuer, claims["sub"])

    # --- keys -------------------------------------------------------------------------------------

    def _key(self, kid: str, algorithm: str) -> tuple[_Keys, PyJWK]:
        keys = self._keys
        known = None if keys is None else _find(keys, kid, algorithm)
        if keys is None or known is None:
            with self._lock:
                keys = self._renewed(keys)
        elif self._clock() - keys.fetched_at > FRESH_SECONDS and self._lock.acquire(blocking=False):
            # One asks again; meanwhile the others use what is known.
            try:
                keys = self._renewed(keys)
            finally:
                self._lock.release()
        if self._clock() - keys.fetched_at > USABLE_SECONDS:
            raise _unavailable()
        key = _find(keys, kid, algorithm)
        if key is None:
            raise InvalidHeader("Unable to find appropriate key")
        return keys, key

    def _renewed(self, seen: _Keys | None) -> _Keys:
        """The keys, fetched unless somebody else did since ``seen``, or that was tried a moment ago."""
        now = self._clock()
        waits = self._tried_at is not None and now - self._tried_at < RETRY_SECONDS
        if self._keys is seen and not waits:
            self._tried_at = now
            try:
                self._keys = self._fetch()
            except (OutgoingError, ValueError, RecursionError) as error:
                _log.error("the keys of %s cannot be had: %s", self._address, error)
        if self._keys is None:
            raise _unavailable()
        return self._keys

    def _fetch(self) -> _Keys:
        base = self._address.rstrip("/")
        issuer: Any = self._address
        place: Any = f"{base}/.well-known/jwks.json"
        if not self._is_auth0:
            about = self._document(f"{base}/.well-known/openid-configuration")
            issuer, place = about.get("issuer"), about.get("jwks_uri")
            if not isinstance(issuer, str) or issuer.rstrip("/") != base:
                raise ValueError(f"it calls itself {str(issuer)[:200]!r}")
            if not isinstance(place, str) or urlsplit(place).scheme not in ("https", urlsplit(base).scheme):
                raise ValueError("its jwks_uri is no address, or less safe than its own")
        found = self._document(place).get("keys")
        if not isinstance(found, list):
            raise ValueError("it lists no keys")
        by_id = {}
        for one in found[:MAX_KEYS]:
            for algorithm in algorithms_of(one) & self._algorithms:
                try:
                    by_id[str(one.get("kid", "")), algorithm] = PyJWK(one, algorithm)
                except (jwt.PyJWTError, ValueError, TypeError) as error:
                    _log.warning("a key of %s cannot be used: %s", self._address, type(error).__name__)
        return _Keys(issuer, by_id, self._clock())

    def _document(self, url: str) -> dict[str, Any]:
        """A JSON object of the issuer's. Raises OutgoingError or ValueError."""
        until = time.monotonic() + FETCH_SECONDS

        def check() -> None:
            if time.monotonic() > until:
                raise AnswerTooSlow(f"{url}: the answer takes too long", url=url)

        with self._http.open(url, check=check) as reply:
            # A redirect could lead by way of somebody who is not the issuer.
            if reply.status != 200 or reply.url != self._http.guard.check_url(url):
                raise ValueError(f"{url}: expected status 200 and no redirect (it is {reply.status})")
            document = json.loads(reply.read(MAX_DOCUMENT_BYTES))
        if not isinstance(document, dict):
            raise ValueError(f"{url}: expected a JSON object")
        return document


#: What PyJWT raises where a token's signature is good and what it says is not.
_CLAIMS = (
    jwt.InvalidAudienceError,
    jwt.InvalidIssuerError,
    jwt.exceptions.InvalidSubjectError,
    jwt.InvalidIssuedAtError,
    jwt.ImmatureSignatureError,
    jwt.MissingRequiredClaimError,
)


def bearer_token(authorization: str | None) -> str:
    """The token of an Authorization header. Raises HeaderMissing or InvalidHeader."""
    if not authorization:
        raise HeaderMissing("Authorization header is expected")
    words = authorization.split()
    if not words or words[0].lower() != "bearer":
        raise InvalidHeader("Authorization header must start with Bearer")
    if len(words) == 1:
        raise InvalidHeader("Token not found")
    if len(words) > 2 or len(words[1]) > MAX_TOKEN_CHARS:
        raise InvalidHeader("Authorization header must be Bearer token")
    return words[1]


def algorithms_of(key: Any) -> frozenset[str]:
    """With which algorithms signatures count that were made with a public key, as its JWK says."""
    if not isinstance(key, dict) or key.get("use", "sig") != "sig" or "d" in key:
        return frozenset()
    kinds = {"RSA": _RSA, "EC": _ELLIPTIC if key.get("crv") == "P-256" else frozenset()}
    fitting = kinds.get(str(key.get("kty")), frozenset())
    return fitting & {key["alg"]} if isinstance(key.get("alg"), str) else fitting


def _unavailable() -> IssuerUnavailable:
    return IssuerUnavailable("The issuer's keys cannot be had at the moment. Try again in a while.")


def _find(keys: _Keys, kid: str, algorithm: str) -> PyJWK | None:
    """The key of that id; a token without an id means the only one."""
    if kid:
        return keys.by_id.get((kid, algorithm))
    fitting = [key for (_, known), key in keys.by_id.items() if known == algorithm]
    return fitting[0] if len(fitting) == 1 else None
