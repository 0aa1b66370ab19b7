"""How long to wait before the next try: doubling, with jitter.

The official runtimes retry /next at once for ever (Rust), five times (Python) or for 15 minutes (Node). A poll that
stays lost is lost capacity, so lmi_fast never gives up a slot, and waits so that many do not come back in step.
"""

from __future__ import annotations

import os
import time

FIRST = 0.05  # seconds
CAP = 5.0  # seconds
# A try that lasted so much longer than its wait had succeeded for a while, as a poll has that was parked.
LASTED = 2 * CAP


class Backoff:
    """The waits between the tries of one thing, until it succeeds."""

    __slots__ = ("_step", "_tried", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._step = 0
        self._tried = -LASTED  # when the try began that fails next

    def next_delay(self, now: float | None = None) -> float:
        """Seconds to wait after one more failure: none after the first, then about FIRST, doubling up to CAP.

        It begins anew when the try has LASTED.
        """
        now = time.monotonic() if now is None else now
        self.failures += 1
        self._step = 0 if now - self._tried >= LASTED else self._step + 1
        delay = 0.0
        if self._step:
            # os.urandom and not random: that module costs more to import than this one needs.
            delay = min(CAP, FIRST * 2 ** min(self._step - 1, 16)) * (0.5 + os.urandom(1)[0] / 512)
        self._tried = now + delay
        return delay
