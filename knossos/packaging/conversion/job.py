"""The job that workers run for a conversion.

Its payload is ``{"request": ConversionRequest.as_payload(), "mirror_url": str}``: the public address of the mirror as
the request saw it, for servers whose settings do not name one. Its result is the repository as JSON data.
"""

from __future__ import annotations

from typing import Any

from knossos.jobs import JobContext
from knossos.packaging.conversion.run import Surroundings, package
from knossos.packaging.description import ConversionRequest
from knossos.packaging.mirror import Mirror
from knossos.packaging.mirror_index import MirrorIndex
from knossos.settings import Settings


def convert(context: JobContext, payload: dict[str, Any]) -> dict[str, Any]:
    """Package what the payload describes."""
    settings = context.settings
    request = ConversionRequest.from_payload(payload["request"])
    mirror = Mirror(
        settings.mirror_folder, _mirror_url(settings, str(payload.get("mirror_url") or "")), MirrorIndex(settings)
    )
    return package(request, Surroundings(settings, context, context.workspace, mirror))


def _mirror_url(settings: Settings, seen: str) -> str:
    if settings.mirror_url or seen:
        return settings.mirror_url or seen
    host, port = settings.api_listen
    return f"{settings.public_url or f'http://{host}:{port}'}/mirror"
