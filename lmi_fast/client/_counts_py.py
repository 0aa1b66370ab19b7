"""What a pool has seen so far: the numbers behind lmi_fast.stats(). The pure twin."""

from __future__ import annotations

from time import monotonic


class Counts:
    """Times are in seconds, moments on the monotonic clock."""

    __slots__ = (
        "answers",
        "bytes_received",
        "bytes_sent",
        "empty_since",
        "handler_max",
        "handling",
        "invocations",
        "repark_max",
        "reparking",
        "reparks",
        "saturated",
    )

    def __init__(self) -> None:
        self.invocations = 0
        self.answers = 0
        self.bytes_received = 0
        self.bytes_sent = 0
        self.handling = 0.0  # from the arrival of an event until its answer is there
        self.handler_max = 0.0
        self.reparks = 0
        self.reparking = 0.0  # from there until the slot's next poll is parked
        self.repark_max = 0.0
        self.empty_since = 0.0  # no poll is parked; 0.0: some are
        self.saturated = 0.0  # how long none was, before that

    def came(self, size: int) -> float:
        """An event of so many bytes has come. Returns the moment."""
        self.invocations += 1
        self.bytes_received += size
        return monotonic()

    def answered(self, began: float, size: int) -> float:
        """The answer to what came then is there: so many bytes. Returns the moment."""
        now = monotonic()
        took = now - began
        self.answers += 1
        self.bytes_sent += size
        self.handling += took
        if took > self.handler_max:
            self.handler_max = took
        return now

    def parked(self, ended: float, first: bool) -> None:
        """A poll is, of a slot whose answer was there then, if it had one; `first`: no other one was."""
        now = monotonic()
        if ended:
            took = now - ended
            self.reparks += 1
            self.reparking += took
            if took > self.repark_max:
                self.repark_max = took
        if first and self.empty_since:
            self.saturated += now - self.empty_since
            self.empty_since = 0.0

    def emptied(self) -> None:
        """No poll is parked any more."""
        self.empty_since = monotonic()
