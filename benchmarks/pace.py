"""How many rounds there is time for.

All groups together have their ten minutes. Where the machine is slower than the one for which they are planned, the
groups that come later repeat less often, rather than that the last ones are cut off: every figure is measured, and the
page says of which there were fewer rounds.
"""

from __future__ import annotations

import os

#: In the environment of a group's process: the share of its rounds for which there is time.
SHARE = "KNOSSOS_BENCHMARKS_SHARE"
#: The part of the time that is left which is given away, the least share that a group gets, and one as good as all.
GIVEN_AWAY, LEAST, ENOUGH = 0.95, 0.3, 0.95


def rounds(planned: int) -> int:
    """As many of the planned rounds as there is time for; at least one."""
    return max(1, int(planned * float(os.environ.get(SHARE, "1")) + 0.2))


def share(left: float, took: float, planned: float, to_come: float) -> float:
    """The share of its rounds that the next group may take.

    Args:
        left: seconds that there are for all groups to come.
        took: seconds that those before it took, for which ``planned`` were planned.
        to_come: seconds that are planned for all groups to come.
    """
    slowness = max(1.0, took / planned) if planned else 1.0
    found = round(max(LEAST, left * GIVEN_AWAY / (to_come * slowness)), 2)
    return 1.0 if found >= ENOUGH else found
