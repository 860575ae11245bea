"""Which addresses the guard lets through: decisions only, no name is asked for and no socket opened."""

from __future__ import annotations

import ipaddress

import pytest

from knossos.outgoing import AddressRefused, Guard

REFUSED_ADDRESSES = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.5.5",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::808:808",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%2",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_that_is_not_public_is_not_allowed(address: str) -> None:
    assert not Guard().allows(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8"]
)
def test_a_public_address_is_allowed(address: str) -> None:
    assert Guard().allows(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://0/",
        "http://0.0.0.0:8080/x",
        "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "http://localhost/",
        "HTTP://LOCALHOST/",
        "http://localhost./",
        "http://a.localhost:8080/",
        "https://[::1]/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[fe80::1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.1.2.3/",
        "http://224.0.0.1/",
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "ftp://example.org/a.7z",
        "gopher://example.org/",
        "unix:///run/redis.sock",
        "data:text/plain,x",
        "javascript:alert(1)",
        "//example.org/a.7z",
        "example.org/a.7z",
        "/a.7z",
        "",
        "http://",
        "http:///a",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org:99999/",
        "http://example.org:x/",
        "http://exam ple.org/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org/\r\nHost: 127.0.0.1",
        "http://[::1/",
        "http://*/",
        "http://[::1%25lo]/",
        "http://[fe80::1%25lo]/",
        "http://[2606:4700::1111%25lo]/",
        "http://8.8.8.8%40127.0.0.1/",
        "http://example.org%2f.example/",
        "http://127.0.0.1./",
        "http://127.0.0.1../",
        "http://8.8.8.8./",
        "http://2130706433./",
        "http://8.8.8.8:0/",
        "http://example.org:00/",
        "https://[2606:4700::1111]:0/",
    ],
)
def test_a_url_that_must_not_be_requested_is_refused_before_any_name_is_asked_for(url: str) -> None:
    with pytest.raises(AddressRefused) as caught:
        Guard().check_url(url)
    assert not caught.value.retryable
    assert caught.value.reason
    assert "secret" not in str(caught.value.details) + str(caught.value)


@pytest.mark.parametrize(
    ("url", "requested"),
    [
        ("http://example.org/a b.7z", "http://example.org/a%20b.7z"),
        (" https://example.org:8443/a.7z?x=1 ", "https://example.org:8443/a.7z?x=1"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://example.org./a%2Fb", "http://example.org./a%2Fb"),
        ("https://[2606::1]/", "https://[2606::1]/"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
    ],
)
def test_an_ordinary_url_passes(url: str, requested: str) -> None:
    assert Guard().check_url(url) == requested


def test_the_operator_can_allow_networks_and_only_those() -> None:
    guard = Guard(("10.0.0.0/8", "fd00::/8"))
    assert guard.allows(ipaddress.ip_address("10.9.9.9"))
    assert guard.allows(ipaddress.ip_address("::ffff:10.9.9.9"))
    assert guard.allows(ipaddress.ip_address("fd00::1"))
    assert not guard.allows(ipaddress.ip_address("127.0.0.1"))
    assert guard.check_url("http://10.1.2.3/a") == "http://10.1.2.3/a"
    with pytest.raises(AddressRefused):
        guard.check_url("http://localhost/a")
    assert Guard(("127.0.0.0/8",)).check_url("http://localhost/a") == "http://localhost/a"


def test_allowing_a_translated_prefix_does_not_allow_what_it_translates_to() -> None:
    guard = Guard(("64:ff9b::/96",))
    assert guard.allows(ipaddress.ip_address("64:ff9b::808:808"))
    assert not guard.allows(ipaddress.ip_address("64:ff9b::7f00:1"))


def test_the_error_names_the_url_the_reason_and_the_setting() -> None:
    with pytest.raises(
        AddressRefused,
        match=r"http://10\.0\.0\.1/x is refused: .*not public; the operator can allow it in ALLOWED_PRIVATE_NETWORKS",
    ):
        Guard().check_url("http://10.0.0.1/x")
