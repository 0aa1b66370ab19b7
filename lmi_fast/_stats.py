"""Numbers of this process: how it serves, as lmi_fast.stats(), hooks and the embedded metric format give them."""

from __future__ import annotations

from typing import NamedTuple


class Stats(NamedTuple):
    """Of one worker process, since it began to poll, unless it says that it is about now. Times are in seconds."""

    slots: int
    """How many invocations it may run at once."""
    uptime: float
    """Since it began to poll."""
    in_flight: int
    """Now: invocations that have no answer yet."""
    parked: int
    """Now: polls that wait at the Runtime API, which are invocations that would be taken at once."""
    invocations: int
    """How many came."""
    answered: int
    """How many of them have an answer, be it a result or an error report."""
    errors: int
    """How many were answered with an error report."""
    timed_out: int
    """How many of those because their deadline was over."""
    overdue: int
    """Now: handlers that go on although their deadline is over and their invocation was answered."""
    saturated: float
    """How long no poll was parked: an invoke that came then was refused by the platform."""
    refused_risk: float
    """The share of the time that was, from 0 to 1: the chance that an invoke at any moment was refused."""
    repark_mean: float
    """From the end of a handler until its slot's next poll was parked."""
    repark_max: float
    """The longest of these."""
    handler_mean: float
    """From the arrival of an event until its answer is there."""
    handler_max: float
    """The longest of these."""
    loop_lag: float
    """By how much a timer of the event loop was late when that was last looked at, every few seconds."""
    loop_lag_max: float
    """The longest of these."""
    bytes_received: int
    """Of events."""
    bytes_sent: int
    """Of results and error reports."""
    worker_restarts: int
    """How often a worker process of this environment was started again, all of them together."""
