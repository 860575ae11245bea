"""Having a conversion published: who may, whether it is ready, and handing it to the job (`ingest.py`)."""

from __future__ import annotations

import hmac
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from knossos.accounts.tokens import Identity
from knossos.jobs import JobNotFound, JobRecord, JobState
from knossos.publishing.digests import digest_of_parts
from knossos.publishing.errors import Refused
from knossos.publishing.submissions import WAIT_SECONDS, Submissions

if TYPE_CHECKING:
    from knossos.jobs import Engine

FUNCTION = "knossos.publishing.ingest.publish_conversion"
#: The engine's kind of conversions.
CONVERSION = "conversion"


class Conversions:
    def __init__(self, engine: Engine, submissions: Submissions) -> None:
        self._engine = engine
        self._submissions = submissions

    def publish(
        self,
        identity: Identity,
        ticket: int,
        token: str,
        *,
        mirror_url: str,
        dry_run: bool = False,
        address: str = "",
        wait_seconds: float = WAIT_SECONDS,
    ) -> dict[str, Any]:
        """Publish all mods of a conversion, and wait for the outcome as `Submissions.run` does.

        Args:
            ticket, token: of the conversion; whoever has the token may have its result.
            mirror_url: the public address of the mirror as this request sees it.

        Raises:
            JobNotFound: there is no such conversion (any more), or the token is another one's.
            Refused: ``not finished``, ``conversion failed``.
        """
        record = self._find(ticket, token)
        if not record.state.finished:
            raise Refused("The conversion has not ended yet.", reason="not finished")
        result = self._engine.result(ticket) if record.state is JobState.SUCCEEDED else None
        if not isinstance(result, dict) or not result.get("mods"):
            raise Refused("The conversion has failed; there is nothing to publish.", reason="conversion failed")
        seen = self._engine.payload(ticket).get("mirror_url") or mirror_url
        payload = {
            "mods": result["mods"],
            "mirror_url": self._engine.settings.mirror_url or seen,
            "identity": {
                "user_id": identity.user_id,
                "name": identity.name,
                "roles": sorted(identity.roles),
                "scopes": sorted(identity.scopes),
                "proof": asdict(identity.proof),
            },
            "address": address,
            "dry_run": dry_run,
        }
        first = result["mods"][0]
        digest = digest_of_parts(identity.user_id, "converted", ticket, record.token, dry_run)
        title = f"{'Check' if dry_run else 'Release'} of {record.title}"
        spec = self._submissions.spec(FUNCTION, title, identity, payload)
        running = self._submissions.join(digest, str(first["id"]), str(first["version"]), spec)
        return self._submissions.answer_to(digest, running, wait_seconds)

    def _find(self, ticket: int, token: str) -> JobRecord:
        try:
            record = self._engine.find(ticket)
        except JobNotFound:
            record = None
        given = token.encode("utf-8", "surrogatepass")
        if record is None or record.kind != CONVERSION or not hmac.compare_digest(record.token.encode(), given):
            raise JobNotFound(f"There is no conversion {ticket} (any more), or the token is wrong.", ticket=ticket)
        return record
