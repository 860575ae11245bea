"""All that clients of the protocols, and browsers, ask for, with fields, documents, paths and headers changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from fuzz.deployment import Deployment
from fuzz.http import asker
from fuzz.request_text import changed
from fuzz.requests_known import ALL
from fuzz.targets import Place

PLACE = Place.DEPLOYMENT


def inputs(random: Random) -> Iterator[bytes]:
    while True:
        yield changed(random, random.choice(ALL))


def make(place: Deployment) -> Callable[[bytes], None]:
    return asker(place)
