"""Where the tools read from: files, standard input and addresses; and the settings under which they fetch."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from knossos.errors import InvalidInput, SettingsError
from knossos.outgoing import OutgoingHttp
from knossos.packaging.description.json_text import read_json
from knossos.setting_kinds import MIB
from knossos.settings import Settings
from knossos.settings_file import load_settings

#: Most bytes of a repository or a listing that comes from an address.
MAX_BYTES = 512 * MIB


def tool_settings(allowed: Sequence[str], timeout: float | None = None) -> Settings:
    """The settings of this machine, with further private networks that may be reached, and other time-outs.

    Raises:
        InvalidInput: a network or the time-out is none.
    """
    for network in allowed:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise InvalidInput(f"--allow-private {network}: expected a network such as 10.0.0.0/8") from error
    try:
        settings = load_settings()
    except SettingsError as error:
        raise InvalidInput(error.message) from error
    changes: dict[str, Any] = {"allowed_private_networks": (*settings.allowed_private_networks, *allowed)}
    if timeout is not None:
        changes |= {"connect_timeout_seconds": timeout, "read_timeout_seconds": timeout}
    return settings.model_copy(update=changes)


def is_address(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def read_repository(source: str, http: OutgoingHttp) -> dict[str, Any]:
    """A repository's JSON as ``{"mods": [...], ...}``; a bare mod becomes one of one mod. "-" is stdin.

    Raises:
        InvalidInput: it cannot be read, is no JSON, or no repository.
        OutgoingError: its address does not answer.
    """
    data = read_json(_read(source, http))
    if isinstance(data, dict) and "mods" not in data and "id" in data:
        data = {"mods": [data]}
    if not isinstance(data, dict) or not isinstance(data.get("mods"), list):
        raise InvalidInput(f'{source}: expected a repository such as {{"mods": [...]}}')
    return data


def _read(source: str, http: OutgoingHttp) -> bytes:
    if is_address(source):
        with http.open(source) as reply:
            if reply.status != 200:
                raise InvalidInput(f"{source} answers {reply.status}; expected a repository's JSON")
            return reply.read(MAX_BYTES)
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{source}: {error.strerror}") from error
