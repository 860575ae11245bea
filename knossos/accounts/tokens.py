"""Who a caller is, and with which right: what a token or a session stands for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from knossos.accounts.accounts import Role
from knossos.errors import AccessDenied


class Scope(StrEnum):
    """What a token may be used for. A login may be used for everything."""

    #: See private mods and what else its owner sees.
    READ = "read"
    #: Store files and images.
    UPLOAD = "upload"
    #: Publish, change and delete releases.
    RELEASE = "release"
    #: Create and change mods, teams and webhooks.
    MANAGE = "manage"


class TokenExpired(AccessDenied):
    """The token was good once; its owner has to log in again."""

    code = "token_expired"


@dataclass(frozen=True)
class Identity:
    """An account, and what it may do by the token or session at hand."""

    user_id: int
    name: str
    roles: frozenset[str]
    scopes: frozenset[Scope]

    @property
    def is_operator(self) -> bool:
        return Role.OPERATOR in self.roles

    def require(self, scope: Scope) -> None:
        """Raise AccessDenied unless the token may be used for that."""
        if scope not in self.scopes:
            raise AccessDenied(f"This token was not given the scope {scope}.", scope=scope)
