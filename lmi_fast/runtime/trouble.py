"""Logs what went wrong with the Runtime API and was dealt with."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from ..client.meaning import POLL_FAILED
from ..errors import RuntimeApiError

_log = logging.getLogger("lmi_fast")
INTERVAL = 1.0  # seconds between two lines about polls: all slots fail together


class TroubleLog:
    """A Trouble (client/meaning.py) that writes warnings: every post, and of failed polls one in a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_line = 0.0
        self._unsaid = 0

    def __call__(self, what: str, error: RuntimeApiError) -> None:
        # A logging handler of the user's that raises must not cost a slot.
        with contextlib.suppress(Exception):
            self._log(what, error)

    def _log(self, what: str, error: RuntimeApiError) -> None:
        if what != POLL_FAILED:
            _log.warning("%s: %s", what, error)
            return
        with self._lock:
            now = time.monotonic()
            if now < self._next_line:
                self._unsaid += 1
                return
            self._next_line = now + INTERVAL
            more, self._unsaid = self._unsaid, 0
        _log.warning("%s: %s%s", what, error, f" (and {more} more since)" if more else "")
