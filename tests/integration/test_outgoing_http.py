"""The door to the outside over real sockets: every connection is checked, and no server can hold a worker."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from knossos.outgoing import (
    AddressRefused,
    AnswerTooSlow,
    BadCertificate,
    BadRedirect,
    BrokenAnswer,
    OutgoingError,
    OutgoingHttp,
    UnreachableHost,
    connections,
)
from knossos.outgoing.guard import Target
from knossos.settings import Settings
from tests.support.file_server import Answer, Drip, FileServer, Reset, Silent

Names = dict[str, list[list[str]]]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., OutgoingHttp]]:
    made: list[OutgoingHttp] = []

    def one(networks: tuple[str, ...] = ("127.0.0.0/8",), ca: Path | None = None, **options: Any) -> OutgoingHttp:
        settings = Settings(data_path=tmp_path, allowed_private_networks=networks, **options)
        made.append(OutgoingHttp(settings, ca_bundle=ca))
        return made[-1]

    yield one
    for http in made:
        http.close()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """A name service of our own: host -> the answers to give, one after another; the last one stays."""
    table: Names = {}
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in table:
            return real(host, port, *args, **options)
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        answer = table[host].pop(0) if len(table[host]) > 1 else table[host][0]
        found: list[Any] = []
        for address in answer:
            found += real(address, port, type=socket.SOCK_STREAM)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return table


def read(http: OutgoingHttp, url: str, **options: Any) -> tuple[int, bytes]:
    with http.open(url, **options) as reply:
        return reply.status, reply.read(10_000_000)


def test_a_private_server_is_not_reached_unless_its_network_is_allowed(
    server: FileServer, build: Callable[..., OutgoingHttp]
) -> None:
    url = server.file("/a", b"data")
    with pytest.raises(AddressRefused):
        build(networks=()).open(url)
    with pytest.raises(AddressRefused):
        build(networks=("10.0.0.0/8",)).open(url)
    assert server.requests == []
    assert read(build(), url) == (200, b"data")


@pytest.mark.parametrize(
    "target",
    [
        "http://10.255.255.1/x",
        "http://[::1]:9/x",
        "http://169.254.169.254/latest/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "http://user:secret@127.0.0.1/x",
        "//2130706434.localtest/\\",
    ],
)
def test_a_redirect_gets_no_further_than_a_first_request(
    server: FileServer, build: Callable[..., OutgoingHttp], target: str
) -> None:
    with pytest.raises(AddressRefused):
        build(networks=("127.0.0.1/32",)).open(server.redirect("/away", target))


@pytest.mark.parametrize("target", ["http://127.0.0.1:0/x", "http://127.0.0.1./x", "http://[::1%25lo]/x"])
def test_a_redirect_to_a_host_that_leads_nowhere_is_refused_for_that(
    server: FileServer, build: Callable[..., OutgoingHttp], target: str
) -> None:
    with pytest.raises(AddressRefused, match=r"port 0|dot at its end|% in it"):
        build().open(server.redirect("/away", target))


def test_a_name_that_turns_to_loopback_between_two_questions_never_gets_a_connection_there(
    build: Callable[..., OutgoingHttp], names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def no_connection(targets: list[Target], *_: Any) -> socket.socket:
        tried.extend(str(target[3][0]) for target in targets)
        raise OSError("nothing leaves this machine")

    monkeypatch.setattr(connections, "connect", no_connection)
    for number in range(1, 5):
        # Public for the first questions, then loopback: whichever of them the check asks.
        names["turning.example"] = [["8.8.8.8"]] * number + [["127.0.0.1"]]
        with pytest.raises((AddressRefused, UnreachableHost)):
            build(networks=()).open("http://turning.example/x")
        names["turning.example"] = [["127.0.0.1"]]
        with pytest.raises(AddressRefused):
            build(networks=()).open("http://turning.example/x")
    assert set(tried) == {"8.8.8.8"}


def test_a_name_that_turns_to_loopback_is_asked_once_for_each_connection_and_checked_each_time(
    build: Callable[..., OutgoingHttp], names: Names
) -> None:
    with FileServer("127.0.0.2") as outside:
        port = urlsplit(outside.file("/x", b"outside")).port or 0
        with FileServer("127.0.0.1", port) as inside:
            inside.file("/x", b"inside")
            url = f"http://turning.example:{port}/x"
            for _ in range(10):
                # Whoever asked a second time before connecting would get a server that answers.
                names["turning.example"] = [["127.0.0.2"], ["127.0.0.1"]]
                assert read(build(networks=("127.0.0.2/32",)), url) == (200, b"outside")
                assert names["turning.example"] == [["127.0.0.1"]]
                with pytest.raises(AddressRefused):
                    build(networks=("127.0.0.2/32",)).open(url)
            assert inside.requests == []


def test_redirects_are_followed_but_not_for_ever(server: FileServer, build: Callable[..., OutgoingHttp]) -> None:
    server.file("/end", b"data")
    server.redirect("/middle", "end", 307)
    http = build()
    with http.open(server.redirect("/start", "/middle")) as reply:
        assert reply.url == server.url("/end")
        assert reply.read(10) == b"data"
    with pytest.raises(BadRedirect):
        http.open(server.redirect("/loop", "/loop"))
    assert server.count("/loop") == 11


def test_a_name_that_leads_to_a_private_address_is_refused(
    server: FileServer, build: Callable[..., OutgoingHttp], names: Names
) -> None:
    names["files.example"] = [["127.0.0.1"]]
    server.file("/a", b"data")
    with pytest.raises(AddressRefused, match="leads to an address"):
        build(networks=()).open(f"http://files.example:{server.port}/a")
    names["mixed.example"] = [["8.8.8.8", "10.0.0.1"]]
    with pytest.raises(AddressRefused):
        build(networks=()).open("http://mixed.example/a")
    names["mapped.example"] = [["::ffff:127.0.0.1"]]
    with pytest.raises(AddressRefused):
        build(networks=()).open("http://mapped.example/a")
    assert server.requests == []


def test_a_name_that_changes_its_answer_is_checked_at_each_connection_and_asked_once_for_it(
    build: Callable[..., OutgoingHttp], names: Names
) -> None:
    with FileServer("127.0.0.2") as wanted, FileServer("127.0.0.3", port=wanted.port) as trap:
        for server in (wanted, trap):
            server.file("/a", b"data", headers={"Connection": "close"})
        http = build(networks=("127.0.0.2/32",))
        names["turning.example"] = [["127.0.0.2"], ["127.0.0.3"]]
        url = f"http://turning.example:{wanted.port}/a"
        assert read(http, url) == (200, b"data")
        assert len(names["turning.example"]) == 1  # one look-up for check and connection together
        assert wanted.requests[0].headers["Host"] == f"turning.example:{wanted.port}"
        with pytest.raises(AddressRefused):
            http.open(url)
        assert trap.requests == []


def test_the_next_address_of_a_name_is_tried_when_the_first_does_not_answer(
    server: FileServer, build: Callable[..., OutgoingHttp], names: Names
) -> None:
    server.file("/a", b"data")
    names["several.example"] = [["127.0.0.9", "127.0.0.1"]]
    assert read(build(), f"http://several.example:{server.port}/a") == (200, b"data")
    names["none.example"] = [["127.0.0.9"]]
    with pytest.raises(UnreachableHost):
        build().open(f"http://none.example:{server.port}/a")
    with pytest.raises(UnreachableHost):
        build().open("http://nothing.invalid/a")


def test_ipv6_servers_are_reached(build: Callable[..., OutgoingHttp]) -> None:
    with FileServer("::1") as server:
        url = server.file("/a", b"data")
        assert read(build(networks=("::1/128",)), url) == (200, b"data")
        assert server.requests[0].headers["Host"] == f"[::1]:{server.port}"


def test_proxies_of_the_environment_are_not_used(
    server: FileServer, build: Callable[..., OutgoingHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FileServer("127.0.0.4") as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        assert read(build(), server.file("/a", b"data")) == (200, b"data")
        with pytest.raises(AddressRefused):
            build(networks=()).open(server.url("/a"))
        assert proxy.requests == []


def test_the_bare_session_is_guarded_too(server: FileServer, build: Callable[..., OutgoingHttp]) -> None:
    url = server.redirect("/away", "http://10.0.0.1/")
    with pytest.raises(AddressRefused):
        build(networks=()).session().get(url)
    assert build().session().get(url).status_code == 302
    with pytest.raises(OutgoingError):
        build(read_timeout_seconds=0.3).session().get(server.file("/silent", b"x", always=Silent()))


def test_the_body_of_a_redirect_is_not_read(server: FileServer, build: Callable[..., OutgoingHttp]) -> None:
    server.file("/end", b"data")
    server.file("/start", b"x", always=None)
    server.handle("/start", lambda request: Answer(302, {"Location": "/end", "Content-Length": "99999999"}, b"x"))
    assert read(build(read_timeout_seconds=2), server.url("/start")) == (200, b"data")


def test_a_redirect_to_an_address_that_is_not_ascii_is_followed(
    server: FileServer, build: Callable[..., OutgoingHttp]
) -> None:
    server.file("/%C3%BC%20b.7z", b"data")
    url = server.redirect("/away", "/ü b.7z".encode().decode("latin-1"))
    assert read(build(), url) == (200, b"data")


# --- time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Silent(), Drip(piece=1, pause=0.02, head=True)])
def test_a_server_that_sends_no_headers_or_drips_them_is_given_up(
    server: FileServer, build: Callable[..., OutgoingHttp], fault: Any
) -> None:
    with pytest.raises(AnswerTooSlow):
        build(read_timeout_seconds=0.3).open(server.file("/a", b"data", always=fault))


@pytest.mark.parametrize("fault", [Silent(after=10), Drip(piece=1, pause=0.02)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_stops_or_drips_is_given_up(
    server: FileServer, build: Callable[..., OutgoingHttp], fault: Any, chunked: bool
) -> None:
    url = server.file("/a", b"x" * 5000, always=fault, chunked=chunked and isinstance(fault, Silent))
    with build(read_timeout_seconds=0.3).open(url) as reply, pytest.raises(AnswerTooSlow):
        reply.read(10_000)


def test_headers_without_end_are_given_up(server: FileServer, build: Callable[..., OutgoingHttp]) -> None:
    headers = {f"X-{number}": "x" * 60_000 for number in range(50)}
    with pytest.raises(BrokenAnswer):
        build().open(server.file("/a", b"data", headers=headers))


def test_the_check_of_a_cancelled_job_ends_a_wait(server: FileServer, build: Callable[..., OutgoingHttp]) -> None:
    class Cancelled(Exception):
        pass

    cancelled = threading.Event()

    def check() -> None:
        if cancelled.is_set():
            raise Cancelled

    url = server.file("/a", b"x" * 100, always=Silent(after=10))
    with build().open(url, check=check) as reply:
        assert reply.read1() == b"x" * 10
        cancelled.set()
        with pytest.raises(Cancelled):
            reply.read1()


def test_a_broken_connection_is_a_named_error(server: FileServer, build: Callable[..., OutgoingHttp]) -> None:
    for path, fault in (("/reset", Reset(after=10)), ("/short", Reset(after=10, clean=True))):
        with build().open(server.file(path, b"x" * 100, always=fault)) as reply, pytest.raises(BrokenAnswer):
            reply.read(1000)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(BrokenAnswer):
            build().open(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


def test_a_body_beyond_the_readers_limit_is_an_error(server: FileServer, build: Callable[..., OutgoingHttp]) -> None:
    with build().open(server.file("/a", b"x" * 100)) as reply, pytest.raises(BrokenAnswer, match="over 99"):
        reply.read(99)


# --- what is sent -------------------------------------------------------------------------------------


def test_forms_are_posted_again_after_a_redirect_but_not_after_a_303(
    server: FileServer, build: Callable[..., OutgoingHttp]
) -> None:
    server.file("/end", b"ok")
    for status, method in ((301, "POST"), (302, "POST"), (307, "POST"), (308, "POST"), (303, "GET")):
        read(build(), server.redirect(f"/{status}", "/end", status), form={"ticket": "17"})
        request = server.asked("/end")[-1]
        assert request.method == method
        assert request.form == ({"ticket": "17"} if method == "POST" else {})


def test_connections_are_kept_and_cookies_are_not_except_for_a_visitor(
    server: FileServer, build: Callable[..., OutgoingHttp]
) -> None:
    url = server.handle("/a", lambda request: Answer(200, {"Set-Cookie": "who=me"}, b"ok"))
    http = build()
    for client in (http, http, http.visitor()):
        read(client, url)
        assert server.requests[-1].headers["Cookie"] is None
    visitor = http.visitor()
    read(visitor, url)
    read(visitor, url)
    assert server.requests[-1].headers["Cookie"] == "who=me"
    assert server.requests[-1].headers["Accept-Encoding"] == "identity"


# --- TLS ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=files.example"]
    command += ["-addext", "subjectAltName=DNS:files.example"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_certificates_are_checked_against_the_name_in_the_url(
    build: Callable[..., OutgoingHttp], names: Names, certificate: tuple[Path, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    asked: list[str | None] = []
    context.sni_callback = lambda connection, name, context: asked.append(name)
    names["files.example"] = names["other.example"] = [["127.0.0.1"]]
    with FileServer(tls=context) as server:
        server.file("/a", b"x" * 300_000)
        server.file("/silent", b"x" * 100, always=Silent(after=10))
        good, other = (f"https://{name}:{server.port}" for name in ("files.example", "other.example"))
        http = build(ca=certificate[0], read_timeout_seconds=0.5)
        assert read(http, good + "/a") == (200, b"x" * 300_000)
        assert asked == ["files.example"]
        with pytest.raises(BadCertificate):
            http.open(other + "/a")
        with pytest.raises(BadCertificate):
            build().open(good + "/a")
        server.file("/drip", b"x" * 100, always=Drip(piece=1, pause=0.02))
        with http.open(good + "/drip") as reply, pytest.raises(AnswerTooSlow):
            reply.read(1000)
        with http.open(good + "/silent") as reply, pytest.raises(AnswerTooSlow):
            reply.read(1000)
        assert server.count("/a") == 1
        with pytest.raises(AddressRefused):
            build(networks=(), ca=certificate[0]).open(good + "/a")


def test_a_plain_server_where_tls_is_expected_is_a_named_error(
    server: FileServer, build: Callable[..., OutgoingHttp]
) -> None:
    with pytest.raises(OutgoingError):
        build().open(server.url("/a").replace("http:", "https:"))


def test_the_guard_agrees_with_the_connection_about_the_address_forms(
    server: FileServer, build: Callable[..., OutgoingHttp]
) -> None:
    server.file("/a", b"data")
    for host in ("2130706433", "0x7f000001", "127.1", "017700000001"):
        assert read(build(), f"http://{host}:{server.port}/a") == (200, b"data")
        with pytest.raises(AddressRefused):
            build(networks=("10.0.0.0/8",)).open(f"http://{host}:{server.port}/a")
