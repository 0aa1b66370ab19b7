"""The runtime's own numbers in CloudWatch's embedded metric format: a line of JSON, of which CloudWatch makes metrics.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import os
import time

from .._stats import Stats
from ..config import Function

NAMESPACE = "lmi_fast"
# Each metric, and its unit.
UNITS = {
    "InFlight": "Count",
    "Parked": "Count",
    "Overdue": "Count",
    "Invocations": "Count",
    "Errors": "Count",
    "TimedOut": "Count",
    "Saturated": "Milliseconds",
    "RefusedRisk": "Percent",
    "Repark": "Milliseconds",
    "Handler": "Milliseconds",
    "LoopLag": "Milliseconds",
    "BytesReceived": "Bytes",
    "BytesSent": "Bytes",
    "WorkerRestarts": "Count",
}


def line(now: Stats, last: Stats | None, function: Function) -> str:
    """What happened since `last`, in a line for the log. WorkerRestarts are those of the whole environment so far."""
    record = {
        "_aws": {
            "Timestamp": time.time_ns() // 1_000_000,
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [{"Name": name, "Unit": unit} for name, unit in UNITS.items()],
                }
            ],
        },
        "FunctionName": function.name or "unknown",
        "FunctionVersion": function.version,
        "LogStream": function.log_stream_name,
        "ProcessId": os.getpid(),
        **values(now, last),
    }
    return json.dumps(record, separators=(",", ":"))


def values(now: Stats, last: Stats | None) -> dict[str, float]:
    """By the names of UNITS."""

    def since(name: str) -> float:
        return float(getattr(now, name)) - (getattr(last, name) if last is not None else 0)

    def mean(name: str) -> float:
        """Of those since, out of two means from the start."""
        answered = since("answered")
        before = getattr(last, name) * last.answered if last is not None else 0.0
        return (getattr(now, name) * now.answered - before) / answered if answered else 0.0

    uptime = since("uptime")
    return {
        "InFlight": now.in_flight,
        "Parked": now.parked,
        "Overdue": now.overdue,
        "Invocations": since("invocations"),
        "Errors": since("errors"),
        "TimedOut": since("timed_out"),
        "Saturated": round(since("saturated") * 1000, 3),
        "RefusedRisk": round(min(100.0, since("saturated") / uptime * 100), 3) if uptime > 0 else 0.0,
        "Repark": round(max(0.0, mean("repark_mean")) * 1000, 3),
        "Handler": round(max(0.0, mean("handler_mean")) * 1000, 3),
        "LoopLag": round(now.loop_lag * 1000, 3),
        "BytesReceived": since("bytes_received"),
        "BytesSent": since("bytes_sent"),
        "WorkerRestarts": now.worker_restarts,
    }
