"""Notices that a thread stays away: the pure twin."""

from __future__ import annotations

import contextlib
import threading
import time


class Watch:
    """One thread leaves and comes back; another one waits until it stays away. Any thread may ring."""

    def __init__(self) -> None:
        self._left = 0.0  # when; 0.0: it is there
        self._looking = False  # the waiting thread wakes by itself
        self._rung = False
        self._bell = threading.Lock()  # released to wake the waiting thread
        self._bell.acquire()

    def leave(self) -> None:
        """From now on the thread is away."""
        self._left = time.monotonic()
        if not self._looking:
            self._looking = True
            self._wake()

    def back(self) -> None:
        """The thread is there again."""
        self._left = 0.0

    def ring(self) -> None:
        """Ends a wait, the next one if there is none."""
        self._rung = True
        self._wake()

    def wait(self, patience: float) -> None:
        """Waits until the thread has been away for `patience` seconds, or for ring()."""
        while not self._rung:
            left = self._left
            if left:
                rest = left + patience - time.monotonic()
                if rest <= 0.0:
                    break
                self._looking = True
                self._bell.acquire(timeout=rest)
            else:
                self._looking = False
                if not self._left:  # else it left just now, and did not wake us
                    self._bell.acquire()
        self._rung = False

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # it was released already
            self._bell.release()
