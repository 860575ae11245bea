"""Tokens of an OpenID Connect issuer, checked with the keys of a real one on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from knossos.accounts.openid import (
    MAX_OWNER_CHARS,
    RETRY_SECONDS,
    USABLE_SECONDS,
    BearerExpired,
    BearerRefused,
    HeaderMissing,
    InvalidClaims,
    InvalidHeader,
    IssuerUnavailable,
    OpenIdIssuer,
    Subject,
)
from knossos.outgoing import OutgoingHttp
from knossos.settings import Settings
from tests.support.issuer import AUDIENCE, DISCOVERY, JWKS, Issuer, own_certificate


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


def settings_for(issuer: Issuer, **more: Any) -> Settings:
    oidc = {"auth_provider": "oidc", "oidc_issuer": issuer.url, "oidc_audience": AUDIENCE}
    return Settings(**{"allowed_private_networks": ("127.0.0.0/8",), "read_timeout_seconds": 5, **oidc, **more})


@pytest.fixture
def checker(issuer: Issuer, clock: Clock) -> OpenIdIssuer:
    settings = settings_for(issuer)
    return OpenIdIssuer(settings, OutgoingHttp(settings), clock)


def refusal(checker: OpenIdIssuer, token: str) -> type[BearerRefused]:
    with pytest.raises(BearerRefused) as caught:
        checker.check(f"Bearer {token}")
    return type(caught.value)


def test_a_token_of_the_issuer_says_who_asks_and_its_keys_are_fetched_once(
    issuer: Issuer, checker: OpenIdIssuer
) -> None:
    for sub in ("dora", "erik"):
        subject = checker.check(f"bearer {issuer.token(sub, aud=['other', AUDIENCE])}")
        assert subject == Subject(issuer.url, sub)
        assert subject.owner == f"openid:{issuer.host}:{sub}"
    assert issuer.fetches == 1


def test_keys_say_which_signatures_count(issuer: Issuer, checker: OpenIdIssuer) -> None:
    issuer.publish("curve", "EC")
    issuer.publish("fixed", alg="RS256")
    issuer.publish("encrypts", use="enc")
    issuer.publish("short", "short RSA")
    assert checker.check(f"Bearer {issuer.token(alg='PS256')}").sub == "dora"
    assert checker.check(f"Bearer {issuer.token(kid='curve', kind='EC', alg='ES256')}").sub == "dora"
    assert checker.check(f"Bearer {issuer.token(kid='fixed')}").sub == "dora"
    assert refusal(checker, issuer.token(kid="fixed", alg="PS256")) is InvalidHeader
    assert refusal(checker, issuer.token(alg="RS512")) is InvalidHeader
    assert refusal(checker, issuer.token(kid="encrypts")) is InvalidHeader
    with pytest.warns(match="1024 bits"):  # the test's own signature
        short = issuer.token(kid="short", kind="short RSA")
    assert refusal(checker, short) is InvalidHeader


def test_a_token_without_a_key_id_means_the_only_key(issuer: Issuer, checker: OpenIdIssuer, clock: Clock) -> None:
    assert checker.check(f"Bearer {issuer.token(kid=None)}").sub == "dora"
    issuer.publish("second")
    clock.now += 1000
    assert checker.check(f"Bearer {issuer.token(kid='second')}").sub == "dora"
    assert refusal(checker, issuer.token(kid=None)) is InvalidHeader


def test_what_was_not_signed_by_the_issuer_is_refused(issuer: Issuer, checker: OpenIdIssuer) -> None:
    with Issuer() as other:
        other.publish("stolen")
        foreign = other.token(iss=issuer.url, kid="stolen")
    head, body, signature = issuer.token().split(".")
    for token in (
        issuer.by_hand({"alg": "none", "kid": "first"}),
        issuer.by_hand({"alg": "None", "kid": "first"}),
        issuer.by_hand({"alg": "HS256", "kid": "first"}, issuer.public_pem()),
        issuer.by_hand({"alg": "RS256", "kid": "first"}, b"x"),
        issuer.by_hand({"alg": "RS256", "kid": "first"}),
        issuer.by_hand({"alg": ["RS256"], "kid": {"a": 1}}, b"x"),
        issuer.by_hand({"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": False}, b"x"),
        issuer.token(kid="first").replace(".", ".e30", 1),
        f"{head}.{body}.{signature[:-8]}AAAAAAAA",
        f"{head}.{body}.",
        f"{head}.{body}",
        foreign,
        "nonsense",
        "a.b.c",
        "é.é.é",
        "x" * 20_000,
    ):
        assert refusal(checker, token) is InvalidHeader, token


def test_what_was_signed_for_others_or_other_times_is_told_apart(issuer: Issuer, checker: OpenIdIssuer) -> None:
    now = int(time.time())
    assert refusal(checker, issuer.token(exp=now - 60)) is BearerExpired
    for claims in (
        {"aud": "https://other.example"},
        {"aud": None},
        {"aud": []},
        {"iss": issuer.url + "/"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"nbf": now + 600},
        {"iat": now + 600},
        {"exp": None},
        {"sub": None},
        {"sub": 7},
    ):
        assert refusal(checker, issuer.token(**claims)) is InvalidClaims, claims  # type: ignore[arg-type]
    # A clock that is a little wrong does not matter.
    assert checker.check(f"Bearer {issuer.token(exp=now - 5, nbf=now + 5, iat=now + 5)}").sub == "dora"
    assert refusal(checker, issuer.token(exp=float("inf"))) is InvalidHeader


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "Bearer a b", "bearer", " ", "x"])
def test_other_headers_are_refused_in_the_protocols_words(checker: OpenIdIssuer, header: str) -> None:
    with pytest.raises(InvalidHeader):
        checker.check(header)
    for nothing in (None, ""):
        with pytest.raises(HeaderMissing):
            checker.check(nothing)


def test_keys_rotate(issuer: Issuer, checker: OpenIdIssuer, clock: Clock) -> None:
    old = issuer.token()
    checker.check(f"Bearer {old}")
    issuer.publish("second")
    del issuer.published["first"]
    clock.now += RETRY_SECONDS + 1
    assert checker.check(f"Bearer {issuer.token(kid='second')}").sub == "dora"
    assert refusal(checker, old) is InvalidHeader


def test_a_key_that_was_withdrawn_counts_no_longer_after_a_while(
    issuer: Issuer, checker: OpenIdIssuer, clock: Clock
) -> None:
    token = issuer.token()
    checker.check(f"Bearer {token}")
    issuer.publish("second")
    del issuer.published["first"]
    clock.now += 601
    assert refusal(checker, token) is InvalidHeader


def test_a_flood_of_unknown_keys_is_no_flood_of_fetches(issuer: Issuer, checker: OpenIdIssuer, clock: Clock) -> None:
    def one(number: int) -> str:
        return refusal(checker, issuer.by_hand({"alg": "RS256", "kid": f"k{number}"}, b"x")).__name__

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(200))) == {"InvalidHeader"}
    assert issuer.fetches == 1
    clock.now += RETRY_SECONDS + 1
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(200))) == {"InvalidHeader"}
    assert issuer.fetches == 2


def test_while_the_issuer_is_away_its_known_keys_count(issuer: Issuer, checker: OpenIdIssuer, clock: Clock) -> None:
    issuer.down = True
    token = issuer.token()
    with pytest.raises(IssuerUnavailable):
        checker.check(f"Bearer {token}")
    issuer.down = False
    with pytest.raises(IssuerUnavailable):  # asked a moment ago
        checker.check(f"Bearer {token}")
    clock.now += RETRY_SECONDS + 1
    checker.check(f"Bearer {token}")
    issuer.down = True
    clock.now += USABLE_SECONDS / 2
    assert checker.check(f"Bearer {token}").sub == "dora"
    assert refusal(checker, issuer.token(kid="unknown")) is InvalidHeader
    clock.now += USABLE_SECONDS
    with pytest.raises(IssuerUnavailable):
        checker.check(f"Bearer {token}")


def test_an_issuer_that_calls_itself_otherwise_or_leads_elsewhere_is_not_believed(
    issuer: Issuer, checker: OpenIdIssuer, clock: Clock
) -> None:
    issuer.name = "https://evil.example"
    with pytest.raises(IssuerUnavailable):
        checker.check(f"Bearer {issuer.token()}")
    issuer.name = issuer.url
    for address in ("file:///etc/passwd", "nonsense", issuer.server.redirect("/moved", JWKS)):
        issuer.jwks_uri = address
        clock.now += RETRY_SECONDS + 1
        with pytest.raises(IssuerUnavailable):
            checker.check(f"Bearer {issuer.token()}")
    assert issuer.fetches == 1, "that is where the redirect led, and it did not help"


def test_keys_that_are_none_do_no_harm_to_the_others(issuer: Issuer, checker: OpenIdIssuer) -> None:
    issuer.published.update(a={"kty": "oct", "k": "c2VjcmV0", "kid": "a"}, b={"kty": "RSA", "kid": "b"})
    issuer.published["c"] = "no key"  # type: ignore[assignment]
    assert checker.check(f"Bearer {issuer.token()}").sub == "dora"
    assert refusal(checker, issuer.by_hand({"alg": "HS256", "kid": "a"}, b"secret")) is InvalidHeader


def test_the_issuer_is_reached_through_the_guard(issuer: Issuer) -> None:
    settings = settings_for(issuer, allowed_private_networks=())
    with pytest.raises(IssuerUnavailable):
        OpenIdIssuer(settings, OutgoingHttp(settings)).check(f"Bearer {issuer.token()}")
    assert issuer.server.count(DISCOVERY) == 0


def test_auth0_is_asked_over_https_and_signs_with_rs256_only(tmp_path: Path) -> None:
    context, authority = own_certificate(tmp_path)
    with Issuer(context, "localhost") as issuer:
        issuer.name = issuer.url + "/"
        auth0 = {"auth_provider": "auth0", "auth0_domain": issuer.host, "auth0_api_audience": AUDIENCE}
        settings = settings_for(issuer, **auth0)
        checker = OpenIdIssuer(settings, OutgoingHttp(settings, ca_bundle=authority))
        assert checker.check(f"Bearer {issuer.token('auth0|7')}").owner == f"openid:{issuer.host}:auth0|7"
        assert refusal(checker, issuer.token(alg="PS256")) is InvalidHeader
        assert refusal(checker, issuer.token(iss=issuer.url)) is InvalidClaims
        assert issuer.server.count(DISCOVERY) == 0
        with pytest.raises(IssuerUnavailable):  # a certificate that nobody believes
            OpenIdIssuer(settings, OutgoingHttp(settings)).check(f"Bearer {issuer.token()}")


def test_owners_have_a_length_and_a_form_whatever_the_subject_is() -> None:
    names = {Subject("https://lab.example/a", sub).owner for sub in ("x" * 500, "y" * 500, "a\nb", "sha256-00", "ok")}
    assert len(names) == 5
    assert all(len(name) <= MAX_OWNER_CHARS and name.isprintable() for name in names)
    assert "openid:lab.example:ok" in names
    assert len(Subject("https://" + "h" * 300, "x" * 500).owner) <= MAX_OWNER_CHARS
