"""A line of the table: what was measured of ours, and of its peer in the same run."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def row(name: str, ours: float, peer: float, peer_name: str, unit: str, limit: float | None) -> Row:
    """A line. ``limit``: what the ratio of ours to the peer's must not pass; None: nothing is asked for."""
    return {
        "name": name,
        "ours": round(ours, 3),
        "peer": round(peer, 3),
        "peer_name": peer_name,
        "unit": unit,
        # Where both have none of something that is bad, ours is as good.
        "ratio": round(ours / peer, 3) if peer else 1.0 + ours,
        "limit": limit,
    }
