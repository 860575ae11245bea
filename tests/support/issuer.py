"""An OpenID Connect issuer on loopback: discovery document, keys and the tokens that it signs, good ones and bad.

with Issuer() as issuer:
    token = issuer.token("dora")
    issuer.rotate()
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import ipaddress
import json
import ssl
import time
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.support.file_server import Answer, FileServer, Request

AUDIENCE = "https://lab.example/api"
DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@lru_cache(maxsize=32)
def private_key(kid: str, kind: str = "RSA") -> PrivateKey:
    """The key of that name; RSA keys take a while to make."""
    if kind == "EC":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 1024 if kind == "short RSA" else 2048)


class Issuer:
    """Use as a context manager. ``published`` are the public keys that it shows, by their ids; ``down``: it shows
    nothing; ``name``: what it calls itself, where that is not its address."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.server = FileServer(tls=tls)
        self.url = f"{'https' if tls else 'http'}://{host}:{self.server.port}"
        self.host = f"{host}:{self.server.port}"
        self.name = self.url
        self.jwks_uri = self.url + JWKS
        self.published: dict[str, dict[str, Any]] = {}
        self.down = False
        self.server.handle(DISCOVERY, self._discovery)
        self.server.handle(JWKS, self._jwks)
        self.publish("first")

    @property
    def fetches(self) -> int:
        """How often its keys were asked for."""
        return self.server.count(JWKS)

    def publish(self, kid: str, kind: str = "RSA", **more: Any) -> None:
        """Show one key more."""
        public = private_key(kid, kind).public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            jwk = json.loads(ECAlgorithm.to_jwk(public))
        else:
            jwk = json.loads(RSAAlgorithm.to_jwk(public))
        self.published[kid] = {"kid": kid, **jwk, "use": "sig", **more}

    def token(
        self, sub: str = "dora", *, kid: str | None = "first", kind: str = "RSA", alg: str = "RS256", **claims: Any
    ) -> str:
        """A token; claims that are None are left out."""
        headers = {} if kid is None else {"kid": kid}
        return jwt.encode(self.claims(sub, **claims), private_key(kid or "first", kind), alg, headers)  # type: ignore[arg-type,unused-ignore]

    def claims(self, sub: str = "dora", **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        usual = {"iss": self.name, "aud": AUDIENCE, "sub": sub, "iat": now, "exp": now + 600}
        return {name: value for name, value in {**usual, **changes}.items() if value is not None}

    def by_hand(self, header: dict[str, Any], secret: bytes = b"", **claims: Any) -> str:
        """A token that no library would make: with any header, signed with HMAC, or, without a secret, with nothing."""
        head = f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(self.claims(**claims)).encode())}"
        return f"{head}.{_base64(hmac.digest(secret, head.encode(), hashlib.sha256)) if secret else ''}"

    def public_pem(self, kid: str = "first") -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return private_key(kid).public_key().public_bytes(serialization.Encoding.PEM, form)

    def _discovery(self, request: Request) -> Answer:
        return self._answer({"issuer": self.name, "jwks_uri": self.jwks_uri})

    def _jwks(self, request: Request) -> Answer:
        return self._answer({"keys": list(self.published.values())})

    def _answer(self, document: dict[str, Any]) -> Answer:
        if self.down:
            return Answer(503)
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()


def own_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A certificate for localhost that nobody has signed but itself: a server's context, and the file to believe."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = builder.sign(key, SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "certificate.pem").write_bytes(pem)
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context, folder / "certificate.pem"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
