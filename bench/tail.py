"""Latency of a handler that takes 50 ms, in an open loop: arrivals do not wait for answers, as those of users do not.

Latency counts from the scheduled arrival, so that a stall is charged with everything it delayed (what a closed loop
omits). Arrivals are Poisson, the same in every round; while no poll is parked they wait in the server.
"""

from __future__ import annotations

from bench import rivals
from bench.results import Sample, Session, interleaved
from bench.rivals import Runtime
from bench.server import Bout

SLOTS = 64
HANDLER_S = 0.05
LOAD = 0.7
RATE = LOAD * SLOTS / HANDLER_S
QUANTILES = (*(q / 100 for q in range(100)), 0.995, 0.999, 0.9999, 1.0)


def measure(session: Session) -> list[Sample]:
    """Quantiles of the overhead, latency less the 50 ms of the handler, in milliseconds."""
    chosen = rivals.available(
        [rivals.ASYNC, rivals.SYNC, rivals.RUST, rivals.GO, rivals.AWSLAMBDARIC], session.left_out
    )
    return interleaved(session, "tail", chosen, lambda runtime, number: _sample(session, runtime, number))


def _sample(session: Session, runtime: Runtime, number: int) -> Sample:
    seconds = 4 if session.quick else 8
    with Bout(runtime, SLOTS, work="sleep") as bout:
        bout.open_loop(RATE, int(RATE), seed=99)  # warm
        latencies, report = bout.open_loop(RATE, int(RATE * seconds), seed=number + 1)
    latencies.sort()
    last = len(latencies) - 1
    return {
        "runtime": runtime.name,
        "slots": SLOTS,
        "rate": RATE,
        "count": len(latencies),
        "server_lag_ms": round(report["lag_ns"] / 1e6, 3),
        "quantiles": {str(q): round((latencies[round(q * last)] - HANDLER_S) * 1e3, 3) for q in QUANTILES},
    }
