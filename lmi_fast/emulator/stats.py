"""What a test can read of the emulated Runtime API while it runs, and wait for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass
class Stats:
    """Counts of one Runtime API. A poll or an invocation is in one of the first three at a time."""

    parked: int = 0  # polls that wait for an invocation
    in_flight: int = 0  # invocations that went to a poll and have no outcome yet
    waiting: int = 0  # invocations that wait for a poll
    peak_parked: int = 0
    peak_in_flight: int = 0
    peak_slots: int = 0  # of parked and in_flight together
    requests: Counter[str] = field(default_factory=Counter)  # by kind, those met by a fault as well
    statuses: Counter[int] = field(default_factory=Counter)  # replies by status, without those of a fault
    outcomes: Counter[str] = field(default_factory=Counter)  # by kind
    init_errors: int = 0
    connections_opened: int = 0
    connections_open: int = 0

    def note_peaks(self) -> None:
        """To be called when `parked` or `in_flight` has grown."""
        self.peak_parked = max(self.peak_parked, self.parked)
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        self.peak_slots = max(self.peak_slots, self.parked + self.in_flight)


@dataclass(frozen=True, slots=True)
class InitError:
    """A POST /runtime/init/error. Only the first is accepted (202); any further one gets 403."""

    error_type: str  # as the platform counts it
    body: bytes
    headers: Mapping[str, str]  # in lower case
    accepted: bool


class Watchers(Generic[S]):
    """Conditions on `subject` that somebody waits for. Used on the server's thread alone."""

    def __init__(self, subject: S) -> None:
        self.subject = subject
        self._waiting: list[tuple[Callable[[S], bool], Future[None]]] = []

    def add(self, condition: Callable[[S], bool], met: Future[None]) -> None:
        """Resolves `met` as soon as `condition` holds, or with what it raises."""
        self._waiting.append((condition, met))
        self.look()

    def look(self) -> None:
        """To be called after every change that a condition may be about."""
        if self._waiting:
            self._waiting = [watcher for watcher in self._waiting if not self._settle(*watcher)]

    def _settle(self, condition: Callable[[S], bool], met: Future[None]) -> bool:
        if met.cancelled():
            return True
        try:
            if not condition(self.subject):
                return False
        except Exception as error:
            if met.set_running_or_notify_cancel():
                met.set_exception(error)
        else:
            if met.set_running_or_notify_cancel():
                met.set_result(None)
        return True
