"""Passwords: Argon2id, never anything weaker, and made again when the library's advice gets stronger."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from knossos.errors import InvalidInput

#: Longest password in characters: hashing must not become a way to keep the server busy.
MAX_PASSWORD_CHARS = 1024


class Passwords:
    """``hasher`` says what a hash costs."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()

    def hash(self, password: str) -> str:
        """What to keep of a password.

        Raises:
            InvalidInput: it is empty or too long.
        """
        if not 0 < len(password) <= MAX_PASSWORD_CHARS:
            raise InvalidInput.at("password", f"expected a password of 1 to {MAX_PASSWORD_CHARS} characters")
        return self._hasher.hash(password.encode("utf-8", "surrogatepass"))

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether it is that one. Without a hash (there is no such account) it takes as long, and is not."""
        if len(password) > MAX_PASSWORD_CHARS:
            return False
        given = password.encode("utf-8", "surrogatepass")
        if password_hash is None:
            self._hasher.hash(given)
            return False
        try:
            return self._hasher.verify(password_hash, given)
        except (VerificationError, InvalidHashError):
            return False

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it should be made again at the next login, which knows the password."""
        return self._hasher.check_needs_rehash(password_hash)
