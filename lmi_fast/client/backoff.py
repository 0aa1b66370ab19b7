"""How long to wait before the next try: doubling, with jitter.

The official runtimes retry /next at once for ever (Rust), five times (Python) or for 15 minutes (Node). A poll that
stays lost is lost capacity, so lmi_fast never gives up a slot, and waits so that many do not come back in step.
"""

from __future__ import annotations

import os

FIRST = 0.05  # seconds
CAP = 5.0  # seconds


class Backoff:
    """The waits between the tries of one thing, until it succeeds."""

    __slots__ = ("failures",)

    def __init__(self) -> None:
        self.failures = 0  # in a row

    def next_delay(self) -> float:
        """Seconds to wait after one more failure: none after the first, then about FIRST, doubling up to CAP."""
        self.failures += 1
        if self.failures == 1:
            return 0.0
        delay: float = min(CAP, FIRST * 2 ** min(self.failures - 2, 16))
        # os.urandom and not random: that module costs more to import than this one needs.
        return delay * (0.5 + os.urandom(1)[0] / 512)
