"""Signatures that the program ``minisign`` checks, made with the server's own key.

The form is that of https://jedisct1.github.io/minisign/: Ed25519 over the BLAKE2b-512 of the file (algorithm "ED"), and
a second signature over the first one and the trusted comment. The key is made on first use and kept in a secret file
of the data folder; where several machines run workers, the operator gives all of them the same file.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from knossos.accounts.secret_files import read_or_create
from knossos.settings import Settings

#: Name of the file with the key, below the data folder.
KEY_FILE = "repository_key"

_PURE, _PREHASHED = b"Ed", b"ED"


class Signer:
    """Signs with the key in a seed of 32 bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()
        #: Only a hint which key to try: it is made from the public key.
        self._number = hashlib.blake2b(self._public, digest_size=8).digest()

    @classmethod
    def of(cls, settings: Settings) -> Signer:
        """The server's own, made on first use."""
        text, _ = read_or_create(settings.data_path / KEY_FILE)
        return cls(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    @property
    def public_key(self) -> str:
        """The file that clients keep."""
        number = self._number[::-1].hex().upper()
        return f"untrusted comment: minisign public key {number}\n{_text(_PURE + self._number + self._public)}\n"

    def sign(self, blake2b: bytes, trusted_comment: str) -> str:
        """The signature file for a file with this BLAKE2b-512. The comment is one line, and signed as well."""
        signature = self._key.sign(blake2b)
        both = self._key.sign(signature + trusted_comment.encode())
        return (
            "untrusted comment: signature of a Knossos repository\n"
            f"{_text(_PREHASHED + self._number + signature)}\n"
            f"trusted comment: {trusted_comment}\n"
            f"{_text(both)}\n"
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
