"""What is done every few seconds, and how late that was."""

from __future__ import annotations

import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Ticks:
    """Timers of one event loop, or of the reactor that takes its place."""

    def __init__(self, call_later: Callable[[float, Callable[[], Any]], object]) -> None:
        self.lag = 0.0  # of the last one, in seconds
        self.lag_max = 0.0
        self._call_later = call_later

    def every(self, seconds: float, function: Callable[[], object]) -> None:
        """Calls `function` so often; 0: never."""
        if seconds:
            due = time.monotonic() + seconds
            self._call_later(seconds, lambda: self._tick(seconds, due, function))

    def _tick(self, seconds: float, due: float, function: Callable[[], object]) -> None:
        self.lag = max(0.0, time.monotonic() - due)
        self.lag_max = max(self.lag_max, self.lag)
        self.every(seconds, function)
        function()
