"""When Python looks for reference cycles: by the clock, not when it likes.

By its own rules it looks once so many more objects were made than freed. Among thousands of watchers, whose pings and
messages take the place of older ones, that is seldom: then it goes through all that was made in the last seconds, and
stands still for 0.1 s, longer than for anything else. What always holds: no more lies there unused than is in use.
"""

from __future__ import annotations

import asyncio
import gc
import sys

#: Seconds between two searches among what was made since the last one: few enough objects for a millisecond.
PAUSE_SECONDS = 0.05
#: A search among everything comes when there are this many times the blocks of memory that the last one has left. With
#: 5,000 watchers it takes 0.3 s.
GROWTH = 2.0


async def collect() -> None:
    """Do it until cancelled; then Python does it again."""
    gc.freeze()  # what is there by now stays
    gc.disable()
    try:
        left = sys.getallocatedblocks()
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            gc.collect(1)
            if sys.getallocatedblocks() > GROWTH * left:
                gc.collect()
                left = sys.getallocatedblocks()
    finally:
        gc.enable()
