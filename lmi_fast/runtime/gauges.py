"""Reads what lmi_fast.stats() returns, from those who count it."""

from __future__ import annotations

import time
from collections.abc import Callable

from .. import sink
from ..client.pool import Pool
from .running import Running
from .service import Service
from .ticks import Ticks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._stats import Stats


class Gauges:
    """Of one driver."""

    def __init__(self, service: Service, pool: Pool, running: Running, ticks: Ticks) -> None:
        global _current
        self._service = service
        self._pool = pool
        self._running = running
        self._ticks = ticks
        self._began = time.monotonic()
        self._last: Stats | None = None  # that was reported
        _current = self

    def read(self) -> Stats:
        """The numbers of this moment."""
        from .._stats import Stats  # few ask for them

        now = time.monotonic()
        counts, running, ticks, journal = self._pool.counts, self._running, self._ticks, self._service.journal
        uptime = now - self._began
        empty_since = counts.empty_since
        saturated = counts.saturated + (now - empty_since if empty_since else 0.0)
        return Stats(
            slots=self._service.slots,
            uptime=uptime,
            in_flight=counts.invocations - counts.answers,
            parked=self._pool.parked,
            invocations=counts.invocations,
            answered=counts.answers,
            errors=self._service.invoker.failed,
            timed_out=running.timed_out,
            overdue=running.overdue,
            saturated=saturated,
            refused_risk=min(1.0, saturated / uptime) if uptime > 0 else 0.0,
            repark_mean=counts.reparking / counts.reparks if counts.reparks else 0.0,
            repark_max=counts.repark_max,
            handler_mean=counts.handling / counts.answers if counts.answers else 0.0,
            handler_max=counts.handler_max,
            loop_lag=ticks.lag,
            loop_lag_max=ticks.lag_max,
            bytes_received=counts.bytes_received,
            bytes_sent=counts.bytes_sent,
            worker_restarts=0 if journal is None else journal.restarts(),
        )

    def report(self) -> None:
        """Writes them to the log in the embedded metric format, and tells the hooks. Without the driver's lock."""
        from importlib import import_module

        stats = self.read()
        write: Callable[..., str] = import_module("lmi_fast.observe.emf").line
        sink.current().write(write(stats, self._last, self._service.config.function), is_json=True)
        self._last = stats
        if self._service.hooks:
            from .hooked import tell

            tell(self._service.hooks, "stats", stats)


_current: Gauges | None = None


def stats() -> Stats:
    """Numbers of this process. Raises RuntimeError before it polls."""
    if _current is None:
        raise RuntimeError("lmi_fast.stats() was called before this process served anything")
    return _current.read()
